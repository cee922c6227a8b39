//! Scaling under a client that never stops writing.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cluster::By;
use crate::ctx::Ctx;
use crate::scenario::{Scenario, scenario};
use crate::wait::secs;
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "writes-1-3-5-3-1",
        "1→3→5→3→1 while a client writes: every acknowledged write is there at the end",
        with_operator
    ),
    scenario!(
        "writes-without-operator",
        "1→3→5→3→1 under writes, the operator scaled to zero, by kubectl scale statefulset",
        without_operator
    )
    .alone(),
];

/// A writer that is without an answer for longer than this would notice.
const LONGEST_GAP: Duration = Duration::from_secs(5);

async fn with_operator(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    cluster.create(1).await?;
    walk(cx, By::Scale).await
}

async fn without_operator(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let settled = cluster.create(1).await?;
    cluster.reported(&settled).await?;
    cx.stop_operator().await?;
    walk(cx, By::StatefulSet).await?;
    // Back again, it takes up what it finds instead of undoing it.
    cluster.scale(3, By::StatefulSet).await?;
    cx.start_operator().await?;
    let settled = cluster.converged(3, secs(30)).await?;
    cluster.reported(&settled).await?;
    let object = cluster.object().await?.unwrap_or_default();
    ensure!(object["spec"]["size"] == 3, "spec.size is {}", object["spec"]["size"]);
    Ok(())
}

async fn walk(cx: &Ctx, by: By) -> Result<()> {
    let cluster = cx.cluster("demo");
    let writer = Writer::start(&cluster).await?;
    for size in [3, 5, 3, 1] {
        cluster.scale(size, by).await?;
    }
    let report = writer.finish(&cluster).await?;
    ensure!(
        report.longest_gap < LONGEST_GAP,
        "no write was acknowledged for {:.1} s, {:.1} s after the start",
        report.longest_gap.as_secs_f64(),
        report.gap_at.as_secs_f64()
    );
    Ok(())
}
