//! Scaled down behind everybody's back, so that nobody could leave.

use anyhow::{Result, ensure};

use crate::cluster::{By, Cluster};
use crate::ctx::Ctx;
use crate::judge::Settled;
use crate::scenario::{Scenario, scenario};
use crate::wait::{secs, until};

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "rescue",
        "5→1 by kubectl scale statefulset while no hook can run: quorum is lost, and comes back",
        rescue
    )
    .within(600),
    scenario!(
        "rescue-woken-smaller",
        "a hibernated cluster of 5 is woken at 1 by hand: it ends at 1 with all its data",
        woken_smaller
    )
    .within(600),
];

async fn rescue(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(5).await?;
    cluster.put_data("before").await?;
    // Neither the agents nor the hooks of the seats that go get to do anything.
    for seat in 1..5 {
        let name = cluster.seat(seat);
        for container in ["agent", "etcd"] {
            cx.fault(&format!("stop {}/{name} {container}", cx.namespace)).await?;
        }
    }
    cluster.ask_size(1, By::StatefulSet).await?;
    let names: Vec<_> = (1..5).map(|seat| cluster.seat(seat)).collect();
    cx.step("kubectl delete pod --grace-period=0 --force of the seats that go");
    cx.kubectl
        .run_line(&format!(
            "delete pod {} --grace-period=0 --force --ignore-not-found",
            names.join(" ")
        ))
        .await?;
    raised_to(&cluster, 3).await?;
    ends_at_one(&cluster, before.cluster_id).await.map(drop)
}

async fn woken_smaller(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(5).await?;
    cluster.put_data("before").await?;
    cluster.ask_size(0, By::Scale).await?;
    until("all pods to go", secs(150), async || {
        let pods = cluster.pods().await?;
        ensure!(pods.is_empty(), "still there: {:?}", pods.keys());
        Ok(())
    })
    .await?;
    cluster.ask_size(1, By::StatefulSet).await?;
    raised_to(&cluster, 3).await?;
    ends_at_one(&cluster, before.cluster_id).await.map(drop)
}

/// The operator raises the replicas to a quorum.
pub(super) async fn raised_to(cluster: &Cluster<'_>, quorum: i32) -> Result<()> {
    until(
        "the operator to raise the replicas to a quorum",
        secs(120),
        async || {
            let spec = cluster.stateful_set().await?.and_then(|set| set.spec);
            let replicas = spec.and_then(|spec| spec.replicas);
            ensure!(replicas >= Some(quorum), "replicas is {replicas:?}");
            Ok(())
        },
    )
    .await?;
    cluster.cx.step("the operator raised the replicas");
    Ok(())
}

/// With its quorum back, the cluster shrinks to 1 properly.
pub(super) async fn ends_at_one(cluster: &Cluster<'_>, cluster_id: u64) -> Result<Settled> {
    let after = cluster.converged(1, secs(300)).await?;
    ensure!(after.cluster_id == cluster_id, "it is another cluster: {after:?}");
    cluster.check_data("before").await?;
    cluster.reported(&after).await?;
    Ok(after)
}
