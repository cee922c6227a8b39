//! Volumes get lost. A seat with an empty volume is a new member; it never
//! takes up the identity of the one that lived there before.

use anyhow::{Context as _, Result, ensure};

use crate::agent;
use crate::cluster::Cluster;
use crate::ctx::Ctx;
use crate::judge::Settled;
use crate::scenario::{Scenario, scenario};
use crate::wait::{holds, secs, until};
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "founder-loses-volume",
        "the founding seat's volume is deleted: it comes back as a new member",
        founder
    ),
    scenario!(
        "empty-volume-isolated",
        "an empty volume while no peer answers: no second cluster",
        isolated
    ),
    scenario!(
        "node-lost",
        "a node is lost for good: its seat moves, without its volume",
        node_lost
    )
    .alone()
    .within(600),
    scenario!(
        "birth-record-deleted",
        "the birth record is deleted: it is published again, and scaling works",
        birth_deleted
    ),
];

async fn founder(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    let writer = Writer::start(&cluster).await?;
    lose_volume(&cluster, 0).await?;
    replaced(&cluster, &before, 0).await?;
    writer.finish(&cluster).await?;
    Ok(())
}

async fn isolated(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    for seat in [1, 2] {
        for container in ["etcd", "agent"] {
            cx.fault_at_end(&format!("cont {} {container}", cluster.path(seat)));
            cx.fault(&format!("stop {} {container}", cluster.path(seat))).await?;
        }
    }
    lose_volume(&cluster, 0).await?;
    holds("seat 0 without a cluster of its own", secs(20), async || {
        let Some(address) = cluster.pod(0).await?.client_address() else {
            return Ok(());
        };
        ensure!(
            cx.world.etcd.status(&address).await.is_err(),
            "etcd serves on an empty volume while nobody else answers"
        );
        Ok(())
    })
    .await?;
    let ip = cluster.pod(0).await?.ip.context("seat 0 has no address")?;
    cx.note(format!("meanwhile: {}", agent::status(&ip).await?["why"]));
    for seat in [1, 2] {
        for container in ["etcd", "agent"] {
            cx.fault(&format!("cont {} {container}", cluster.path(seat))).await?;
        }
    }
    replaced(&cluster, &before, 0).await
}

async fn node_lost(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    let pod = cluster.pod(1).await?;
    let node = pod.node.context("a pod without a node")?;
    let writer = Writer::start(&cluster).await?;
    cx.fault_at_end(&format!("start-node {node}"));
    cx.fault(&format!("kill-node {node}")).await?;
    cx.step(format!("kubectl delete node {node}, and what was on it"));
    cx.kubectl.run_line(&format!("delete node {node}")).await?;
    let seats: Vec<u32> = cluster
        .pods()
        .await?
        .values()
        .filter(|pod| pod.node.as_ref() == Some(&node))
        .filter_map(|pod| pod.seat())
        .collect();
    ensure!(
        seats.len() == 1,
        "seats {seats:?} were on {node}: their loss is the loss of the quorum"
    );
    for seat in &seats {
        cx.kubectl
            .run_line(&format!(
                "delete persistentvolumeclaim data-{} --wait=false",
                cluster.seat(*seat)
            ))
            .await?;
        cx.kubectl
            .run_line(&format!("delete pod {} --grace-period=0 --force", cluster.seat(*seat)))
            .await?;
    }
    replaced(&cluster, &before, seats[0]).await?;
    let moved = cluster.pod(seats[0]).await?.node;
    ensure!(moved.as_ref() != Some(&node), "the seat is still on {node}");
    writer.finish(&cluster).await?;
    Ok(())
}

async fn birth_deleted(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(1).await?;
    cluster.put_data("before").await?;
    cx.step("kubectl delete configmap of the birth record");
    cx.kubectl
        .run_line(&format!("delete configmap {}-birth", cluster.name()))
        .await?;
    let after = cluster.scale(3, crate::cluster::By::Patch).await?;
    ensure!(
        after.cluster_id == before.cluster_id,
        "it is another cluster: {before:?}, {after:?}"
    );
    cluster.check_data("before").await?;
    until("the birth record to be back", secs(60), async || {
        let birth = cluster.birth().await?;
        ensure!(
            birth.get("clusterID") == Some(&format!("{:016x}", before.cluster_id)),
            "it is {birth:?}"
        );
        Ok(())
    })
    .await
}

/// Deletes a seat's claim with its pod.
pub(super) async fn lose_volume(cluster: &Cluster<'_>, seat: u32) -> Result<()> {
    let (cx, name) = (cluster.cx, cluster.seat(seat));
    cx.step(format!("the volume of {name} is deleted"));
    let uid = |claim: &serde_json::Value| claim["metadata"]["uid"].as_str().map(str::to_owned);
    let claim = format!("persistentvolumeclaim/data-{name}");
    let old = cx
        .kubectl
        .get(&claim)
        .await?
        .as_ref()
        .and_then(uid)
        .with_context(|| format!("{claim} does not exist"))?;
    cx.kubectl.run_line(&format!("delete {claim} --wait=false")).await?;
    cx.kubectl
        .run_line(&format!("delete pod {name} --grace-period=1 --wait=false"))
        .await?;
    until(&format!("{name} on a new volume"), secs(90), async || {
        let new = cx
            .kubectl
            .get(&claim)
            .await?
            .as_ref()
            .and_then(uid)
            .context("no claim")?;
        ensure!(new != old, "it is still the old claim");
        ensure!(cluster.pod(seat).await?.ip.is_some(), "the pod has no address");
        Ok(())
    })
    .await
}

/// Waits until one seat has a new member, and only that one.
pub(super) async fn replaced(cluster: &Cluster<'_>, before: &Settled, seat: u32) -> Result<()> {
    let after = cluster
        .converged(u32::try_from(before.members.len())?, secs(240))
        .await?;
    ensure!(
        after.cluster_id == before.cluster_id,
        "it is another cluster: {before:?}, {after:?}"
    );
    for (name, id) in &after.members {
        let same = before.members.get(name) == Some(id);
        ensure!(
            same != (*name == cluster.seat(seat)),
            "{name}: {before:?} became {after:?}"
        );
    }
    cluster.check_data("before").await?;
    cluster.reported(&after).await
}
