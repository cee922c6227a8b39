//! The duties of the agent beside the leader, while it is cut off from the API server: a deputy does them.

use anyhow::{Context as _, Result, ensure};

use crate::agent;
use crate::cluster::{By, Cluster};
use crate::ctx::Ctx;
use crate::scenario::{Scenario, scenario};
use crate::wait::{secs, until};
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "deputy-for-a-leader-cut-off",
        "3→2 by kubectl scale statefulset, seat 2 dead and the agent of the leader, seat 0, cut off; no operator",
        removes
    )
    .alone(),
    scenario!(
        "deputy-publishes-a-shrink",
        "5→3 while the agent of the leader, seat 0, is cut off from the API server",
        publishes
    )
    .within(420),
];

/// Lets seat 0 lead, and cuts its agent off from the API server; returns what heals that.
async fn cut_leader_off(cx: &Ctx, cluster: &Cluster<'_>) -> Result<String> {
    cluster.lead_from(0).await?;
    let ends = format!("{} api", cluster.end(&[0]));
    let heal = format!("heal {ends}");
    cx.fault_at_end(&heal);
    cx.fault(&format!("cut {ends}")).await?;
    Ok(heal)
}

async fn removes(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    cluster.create(3).await?;
    let writer = Writer::start(&cluster).await?;
    let heal = cut_leader_off(cx, &cluster).await?;
    cx.stop_operator().await?;
    for container in ["agent", "etcd"] {
        cx.fault(&format!("stop {} {container}", cluster.path(2))).await?;
    }
    cluster.ask_size(2, By::StatefulSet).await?;
    let delete = format!(
        "delete pod {} --grace-period=0 --force --ignore-not-found",
        cluster.seat(2)
    );
    cx.kubectl.run_line(&delete).await?;
    until("the deputy to remove the member of seat 2", secs(75), async || {
        let view = cx.world.etcd.fenced_view(&cluster.address(1).await?).await?;
        ensure!(view.members.len() == 2, "members: {:?}", view.members);
        Ok(())
    })
    .await?;
    until("the deputy to publish the members", secs(75), async || {
        let object = cluster.object().await?.context("no EtcdCluster")?;
        let members = object["status"]["members"].as_array().map_or(0, Vec::len);
        ensure!(members == 2, "{members} members are published");
        ensure!(cluster.leader().await? == 0, "seat 0 leads no more");
        Ok(())
    })
    .await?;
    cx.fault(&heal).await?;
    cx.start_operator().await?;
    let after = cluster.converged(2, secs(120)).await?;
    // Its watch was cut for a minute, and is begun again after 90 s of silence. A pod whose agent cannot learn that the
    // namespace goes ends late.
    until("the agent of seat 0 to notice the new size", secs(120), async || {
        let pod = cluster.pod(0).await?;
        let report = agent::status(&pod.ip.context("seat 0 has no address")?).await?;
        ensure!(report["wantedSeats"] == 2, "it says {}", report["wantedSeats"]);
        Ok(())
    })
    .await?;
    writer.finish(&cluster).await?;
    cluster.reported(&after).await
}

async fn publishes(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    cluster.create(5).await?;
    let writer = Writer::start(&cluster).await?;
    let heal = cut_leader_off(cx, &cluster).await?;
    cluster.ask_size(3, By::Patch).await?;
    until("the pods of seats 3 and 4 to go", secs(150), async || {
        let pods = cluster.pods().await?;
        ensure!(pods.len() == 3, "{} pods", pods.len());
        Ok(())
    })
    .await?;
    ensure!(cluster.leader().await? == 0, "seat 0 leads no more");
    cx.fault(&heal).await?;
    let after = cluster.converged(3, secs(120)).await?;
    writer.finish(&cluster).await?;
    cluster.reported(&after).await
}
