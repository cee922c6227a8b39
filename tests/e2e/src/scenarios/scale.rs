//! Growing and shrinking, in each of the ways a user has.

use anyhow::{Context as _, Result, ensure};

use crate::cluster::{By, Cluster};
use crate::ctx::Ctx;
use crate::judge::Settled;
use crate::scenario::{Scenario, scenario};
use crate::wait::{secs, until};

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!("scale-1-3-1", "1→3→1 by kubectl apply", scale_1_3_1).every_version(),
    scenario!(
        "scale-by-patch",
        "1→3→5→3→1 by kubectl patch of the EtcdCluster",
        by_patch
    ),
    scenario!("scale-by-scale", "1→3→5→3→1 by kubectl scale etcdcluster", by_scale),
    scenario!(
        "scale-statefulset",
        "1→3→5→3→1 by kubectl scale statefulset, past the operator",
        by_stateful_set
    ),
    scenario!(
        "scale-5-1",
        "5→1 in one step: by apply, by kubectl scale etcdcluster, by kubectl scale statefulset",
        from_5_to_1
    )
    .within(600),
    scenario!(
        "scale-1-2-1",
        "an even size on the way: 1→2→1, and the founder never restarts",
        scale_1_2_1
    ),
];

async fn scale_1_3_1(cx: &Ctx) -> Result<()> {
    walk(cx, &[3, 1], By::Apply).await
}

async fn by_patch(cx: &Ctx) -> Result<()> {
    walk(cx, &[3, 5, 3, 1], By::Patch).await
}

async fn by_scale(cx: &Ctx) -> Result<()> {
    walk(cx, &[3, 5, 3, 1], By::Scale).await
}

async fn by_stateful_set(cx: &Ctx) -> Result<()> {
    walk(cx, &[3, 5, 3, 1], By::StatefulSet).await
}

async fn scale_1_2_1(cx: &Ctx) -> Result<()> {
    walk(cx, &[2, 1], By::Patch).await
}

/// From 1 through these sizes; the members that stay are the same ones, and
/// their etcd never restarts.
async fn walk(cx: &Ctx, sizes: &[u32], by: By) -> Result<()> {
    let cluster = cx.cluster("demo");
    let mut before = cluster.create(1).await?;
    cluster.put_data("first").await?;
    for size in sizes {
        before = step(&cluster, &before, *size, by).await?;
    }
    Ok(())
}

async fn from_5_to_1(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let mut before = cluster.create(5).await?;
    cluster.put_data("first").await?;
    for by in [By::Apply, By::Scale, By::StatefulSet] {
        if before.members.len() == 1 {
            before = step(&cluster, &before, 5, By::Apply).await?;
        }
        before = step(&cluster, &before, 1, by).await?;
    }
    Ok(())
}

async fn step(cluster: &Cluster<'_>, before: &Settled, size: u32, by: By) -> Result<Settled> {
    let after = cluster.scale(size, by).await?;
    ensure!(
        after.cluster_id == before.cluster_id,
        "the cluster ID changed: {before:?}, {after:?}"
    );
    for (seat, id) in &after.members {
        let same = before.members.get(seat).is_none_or(|earlier| earlier == id);
        ensure!(same, "{seat} is not the member it was: {before:?}, {after:?}");
    }
    cluster.check_data("first").await?;
    for pod in cluster
        .pods()
        .await?
        .values()
        .filter(|pod| before.members.contains_key(&pod.name))
    {
        ensure!(
            pod.restarts_of("etcd") == 0,
            "{}: etcd restarted {} times",
            pod.name,
            pod.restarts_of("etcd")
        );
    }
    // A StatefulSet that a user scaled is taken up by the EtcdCluster.
    until("spec.size to say the same", secs(20), async || {
        let object = cluster.object().await?.context("no EtcdCluster")?;
        ensure!(
            object["spec"]["size"] == size,
            "spec.size is {}",
            object["spec"]["size"]
        );
        Ok(())
    })
    .await?;
    cluster.reported(&after).await?;
    Ok(after)
}
