//! The leader is cut off from its peers in the middle of a step.

use anyhow::{Result, ensure};

use crate::cluster::By;
use crate::ctx::Ctx;
use crate::scenario::{Scenario, scenario};
use crate::wait::secs;
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "isolated-leader-grow",
        "3→5 while the leader is cut off from its peers for 25 s",
        grow
    ),
    scenario!(
        "isolated-leader-shrink",
        "5→3 while the leader, which stays, is cut off from its peers for 25 s",
        shrink_staying
    ),
    scenario!(
        "isolated-leader-goes",
        "5→3 while the leader, which goes, is cut off from its peers for 25 s",
        shrink_leaving
    ),
];

async fn grow(cx: &Ctx) -> Result<()> {
    step(cx, 3, 5, 0).await
}

async fn shrink_staying(cx: &Ctx) -> Result<()> {
    step(cx, 5, 3, 0).await
}

async fn shrink_leaving(cx: &Ctx) -> Result<()> {
    step(cx, 5, 3, 4).await
}

async fn step(cx: &Ctx, from: u32, to: u32, leader: u32) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(from).await?;
    cluster.put_data("before").await?;
    cluster.lead_from(leader).await?;
    let writer = Writer::start(&cluster).await?;
    let others: Vec<_> = (0..from).filter(|seat| *seat != leader).collect();
    let cut = format!("{} {}", cluster.end(&[leader]), cluster.end(&others));
    cx.fault_at_end(&format!("heal {cut}"));
    if to < from {
        // Members leave within a second of being asked.
        cx.fault(&format!("cut {cut}")).await?;
        cluster.ask_size(to, By::Patch).await?;
    } else {
        cluster.ask_size(to, By::Patch).await?;
        cx.fault(&format!("cut {cut}")).await?;
    }
    tokio::time::sleep(secs(25)).await;
    cx.fault(&format!("heal {cut}")).await?;
    let after = cluster.converged(to, secs(180)).await?;
    let stayed = before
        .members
        .iter()
        .filter(|(seat, _)| after.members.contains_key(*seat));
    for (seat, id) in stayed {
        ensure!(
            after.members.get(seat) == Some(id),
            "{seat} is another member: {before:?}, {after:?}"
        );
    }
    writer.finish(&cluster).await?;
    cluster.check_data("before").await?;
    cluster.reported(&after).await
}
