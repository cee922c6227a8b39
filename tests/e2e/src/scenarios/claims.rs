//! Volume claims: who owns them, who may delete them, and where their pods run.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::cluster::{By, Cluster};
use crate::ctx::Ctx;
use crate::scenario::{Scenario, scenario};
use crate::wait::{holds, secs, until};

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "retention-delete-statefulset-deleted",
        "retention: Delete, and the StatefulSet is deleted: made again with its data; the EtcdCluster takes the claims along",
        set_deleted
    ),
    scenario!(
        "retention-changed-asleep",
        "retention goes from Delete to Retain while the cluster hibernates: its claims outlive the EtcdCluster",
        changed_asleep
    ),
    scenario!(
        "three-nodes",
        "three members get three nodes, with either retention",
        three_nodes
    ),
    scenario!(
        "claims-of-others",
        "whenScaled: Delete deletes the claims of seats that left, and none that another application left",
        of_others
    ),
    scenario!(
        "claims-of-voters",
        "whenScaled: Delete, the leader's agent cut off, the StatefulSet scaled down without hooks: claims of voters stay",
        of_voters
    ),
];

/// Applies a cluster with these storage settings beside its volume size.
async fn apply(cluster: &Cluster<'_>, size: u32, storage: serde_json::Value) -> Result<()> {
    cluster.cx.step(format!("kubectl apply with size {size}, {storage}"));
    let mut manifest = cluster.manifest(size);
    for (key, value) in storage.as_object().into_iter().flatten() {
        manifest["spec"]["storage"][key] = value.clone();
    }
    cluster.cx.kubectl.apply(&manifest).await?;
    Ok(())
}

/// The UIDs of the claims that are not being deleted, by name.
async fn claims(cx: &Ctx) -> Result<BTreeMap<String, String>> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(cx.world.client.clone(), &cx.namespace);
    let all = api.list(&ListParams::default()).await?;
    let stays = |claim: &&PersistentVolumeClaim| claim.metadata.deletion_timestamp.is_none();
    Ok(all
        .items
        .iter()
        .filter(stays)
        .map(|claim| (claim.name_any(), claim.uid().unwrap_or_default()))
        .collect())
}

/// Waits until these seats have the only claims.
async fn only_claims(cluster: &Cluster<'_>, seats: &[u32]) -> Result<()> {
    let wanted: BTreeSet<String> = seats.iter().map(|seat| claim_name(cluster, *seat)).collect();
    until(&format!("only {wanted:?} to be left"), secs(90), async || {
        let left: BTreeSet<String> = claims(cluster.cx).await?.into_keys().collect();
        ensure!(left == wanted, "there are {left:?}");
        Ok(())
    })
    .await
}

fn claim_name(cluster: &Cluster<'_>, seat: u32) -> String {
    format!("data-{}", cluster.seat(seat))
}

/// Waits until as many claims belong to an EtcdCluster, and none to a StatefulSet.
async fn owned(cluster: &Cluster<'_>, count: usize) -> Result<()> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(cluster.cx.world.client.clone(), &cluster.cx.namespace);
    until(
        &format!("{count} claims to belong to the EtcdCluster"),
        secs(30),
        async || {
            let all = api.list(&ListParams::default()).await?;
            let kinds: Vec<&str> = all
                .items
                .iter()
                .flat_map(|claim| claim.owner_references())
                .map(|owner| owner.kind.as_str())
                .collect();
            ensure!(kinds == vec!["EtcdCluster"; count], "the owners are {kinds:?}");
            Ok(())
        },
    )
    .await
}

async fn set_deleted(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    apply(&cluster, 3, json!({ "retention": "Delete" })).await?;
    let before = cluster.converged(3, secs(180)).await?;
    cluster.put_data("before").await?;
    owned(&cluster, 3).await?;
    let kept = claims(cx).await?;
    cx.step("kubectl delete statefulset");
    cx.kubectl
        .run_line(&format!("delete statefulset {} --wait=false", cluster.name()))
        .await?;
    until("the pods to be made again", secs(90), async || {
        let pods = cluster.pods().await?;
        ensure!(
            pods.values().any(|pod| pod.terminating) || pods.len() < 3,
            "they are not gone yet"
        );
        Ok(())
    })
    .await?;
    let after = cluster.converged(3, secs(180)).await?;
    ensure!(after == before, "the membership changed: {before:?} became {after:?}");
    cluster.check_data("before").await?;
    ensure!(claims(cx).await? == kept, "there are other claims than {kept:?}");
    cx.step("kubectl delete etcdcluster");
    cx.kubectl
        .run_line(&format!("delete etcdcluster {} --wait=false", cluster.name()))
        .await?;
    only_claims(&cluster, &[]).await
}

async fn changed_asleep(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    apply(&cluster, 1, json!({ "retention": "Delete" })).await?;
    let before = cluster.converged(1, secs(120)).await?;
    cluster.put_data("before").await?;
    owned(&cluster, 1).await?;
    apply(&cluster, 0, json!({ "retention": "Delete" })).await?;
    until("the pod to be gone", secs(60), async || {
        ensure!(cluster.pods().await?.is_empty(), "it is there");
        Ok(())
    })
    .await?;
    apply(&cluster, 0, json!({ "retention": "Retain" })).await?;
    owned(&cluster, 0).await?;
    cx.kubectl
        .run_line(&format!("delete etcdcluster {}", cluster.name()))
        .await?;
    holds("the claim", secs(10), async || {
        ensure!(claims(cx).await?.len() == 1, "it goes");
        Ok(())
    })
    .await?;
    apply(&cluster, 1, json!({ "retention": "Retain" })).await?;
    let after = cluster.converged(1, secs(120)).await?;
    ensure!(after == before, "the membership changed: {before:?} became {after:?}");
    cluster.check_data("before").await
}

async fn three_nodes(cx: &Ctx) -> Result<()> {
    for (name, retention) in [("keep", "Retain"), ("drop", "Delete"), ("drop-again", "Delete")] {
        let cluster = cx.cluster(name);
        apply(&cluster, 3, json!({ "retention": retention })).await?;
        cluster.converged(3, secs(180)).await?;
        let pods = cluster.pods().await?;
        let nodes: BTreeSet<_> = pods.values().filter_map(|pod| pod.node.clone()).collect();
        ensure!(nodes.len() == 3, "{retention}: the members run on {nodes:?}");
        let object = cluster.object().await?.context("no EtcdCluster")?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        ensure!(
            conditions.iter().all(|condition| condition["type"] != "SharedNode"),
            "a shared node is told of: {conditions:?}"
        );
        cx.kubectl
            .run_line(&format!("delete etcdcluster {name} --wait=false"))
            .await?;
    }
    Ok(())
}

async fn of_others(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    // As a chart makes it, whose release has the EtcdCluster's name.
    let foreign = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": claim_name(&cluster, 2), "labels": {
            "app.kubernetes.io/name": "etcd", "app.kubernetes.io/instance": cluster.name(),
        } },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    cx.kubectl.apply(&foreign).await?;
    let before = claims(cx).await?;
    apply(&cluster, 2, json!({ "whenScaled": "Delete" })).await?;
    cluster.converged(2, secs(150)).await?;
    cluster.scale(1, By::Patch).await?;
    only_claims(&cluster, &[0, 2]).await?;
    holds("the claim of another application", secs(10), async || {
        let now = claims(cx).await?;
        let name = claim_name(&cluster, 2);
        ensure!(now.get(&name) == before.get(&name), "it went");
        Ok(())
    })
    .await
}

async fn of_voters(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    apply(&cluster, 3, json!({ "whenScaled": "Delete" })).await?;
    cluster.converged(3, secs(180)).await?;
    cluster.lead_from(2).await?;
    let cut = format!("{} api", cluster.end(&[2]));
    cx.fault_at_end(&format!("heal {cut}"));
    cx.fault(&format!("cut {cut}")).await?;
    cluster.scale(5, By::Patch).await?;
    // What no agent may remove meanwhile is a voter.
    for seat in 0..3 {
        cx.fault_at_end(&format!("cont {} agent", cluster.path(seat)));
        cx.fault(&format!("stop {} agent", cluster.path(seat))).await?;
    }
    cluster.ask_size(3, By::StatefulSet).await?;
    for seat in [3, 4] {
        let name = cluster.seat(seat);
        cx.kubectl
            .run_line(&format!("delete pod {name} --grace-period=0 --force"))
            .await?;
    }
    let address = cluster.address(0).await?;
    holds("the claims of seats whose members vote", secs(20), async || {
        let view = cx.world.etcd.fenced_view(&address).await?;
        let there = claims(cx).await?;
        for seat in [3, 4] {
            let name = cluster.seat(seat);
            let votes = view.members.iter().any(|member| member.name == name);
            ensure!(
                !votes || there.contains_key(&claim_name(&cluster, seat)),
                "{name} is a member, and its claim goes"
            );
        }
        Ok(())
    })
    .await?;
    for seat in 0..3 {
        cx.fault(&format!("cont {} agent", cluster.path(seat))).await?;
    }
    cx.fault(&format!("heal {cut}")).await?;
    cluster.converged(3, secs(180)).await?;
    only_claims(&cluster, &[0, 1, 2]).await
}
