//! The etcd version that wrote the data outlives whatever knew it.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::cluster::Cluster;
use crate::ctx::Ctx;
use crate::scenario::{Scenario, scenario};
use crate::wait::{holds, secs, until};

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[scenario!(
    "version-remembered",
    "EtcdCluster and StatefulSet are deleted and made again: the version rules hold, and no version means that of the data",
    remembered
)];

async fn remembered(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(1).await?;
    cluster.put_data("before").await?;
    let ran = cx.version.trim_start_matches('v').to_owned();
    until("the birth record to know the version", secs(20), async || {
        let birth = cluster.birth().await?;
        ensure!(birth.get("version") == Some(&ran), "it has {birth:?}");
        Ok(())
    })
    .await?;
    until("etcd's version in the status", secs(20), async || {
        let seat = cluster.seat_status(0).await?;
        ensure!(seat["version"] == ran.as_str(), "the seat says {seat}");
        Ok(())
    })
    .await?;
    delete(&cluster).await?;

    let newest = cx.world.versions.resolve("newest-3.6")?;
    let newest = newest.trim_start_matches('v');
    let jump = if ran == newest { "3.5.35" } else { newest };
    apply(&cluster, Some(jump)).await?;
    let refusal = async || {
        let object = cluster.object().await?.context("no EtcdCluster")?;
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        let stalled = conditions.into_iter().find(|found| found["type"] == "Stalled");
        let said = stalled.and_then(|found| found["message"].as_str()).unwrap_or_default();
        let named = ["spec.version", jump, &ran].iter().all(|part| said.contains(part));
        ensure!(named, "Stalled says {said:?}");
        Ok(())
    };
    until("the version to be refused", secs(30), refusal).await?;
    holds("nothing is started", secs(10), async || {
        ensure!(cluster.stateful_set().await?.is_none(), "there is a StatefulSet");
        refusal().await
    })
    .await?;

    // Without a version, and not only in a new EtcdCluster.
    cx.kubectl
        .run_line(&format!("delete etcdcluster {}", cluster.name()))
        .await?;
    apply(&cluster, None).await?;
    unchanged(&cluster, &before, &ran).await?;
    let uid = async || anyhow::Ok(cluster.stateful_set().await?.context("no StatefulSet")?.metadata.uid);
    let old = uid().await?;
    cx.step("kubectl delete statefulset");
    cx.kubectl
        .run_line(&format!("delete statefulset {} --wait=false", cluster.name()))
        .await?;
    until("the operator to make it again", secs(60), async || {
        ensure!(uid().await? != old, "it is still the old one");
        ensure!(cluster.pod(0).await?.ready, "its pod is not ready");
        Ok(())
    })
    .await?;
    unchanged(&cluster, &before, &ran).await
}

async fn unchanged(cluster: &Cluster<'_>, before: &crate::judge::Settled, version: &str) -> Result<()> {
    let after = cluster.converged(1, secs(120)).await?;
    ensure!(after == *before, "the membership changed: {before:?} became {after:?}");
    cluster.check_data("before").await?;
    until("the seat to say what etcd runs", secs(20), async || {
        let seat = cluster.seat_status(0).await?;
        ensure!(seat["version"] == version, "the seat says {seat}");
        Ok(())
    })
    .await
}

async fn apply(cluster: &Cluster<'_>, version: Option<&str>) -> Result<()> {
    cluster.cx.step(format!("kubectl apply with version {version:?}"));
    let mut manifest = cluster.manifest(1);
    let spec = manifest["spec"].as_object_mut().context("no spec")?;
    spec.remove("version");
    spec.extend(version.map(|version| ("version".to_owned(), json!(version))));
    cluster.cx.kubectl.apply(&manifest).await?;
    Ok(())
}

async fn delete(cluster: &Cluster<'_>) -> Result<()> {
    cluster.cx.step("kubectl delete etcdcluster");
    cluster
        .cx
        .kubectl
        .run_line(&format!("delete etcdcluster {}", cluster.name()))
        .await?;
    until("the cluster's pods to go", secs(150), async || {
        let pods = cluster.pods().await?;
        ensure!(pods.is_empty(), "still there: {:?}", pods.keys());
        ensure!(cluster.stateful_set().await?.is_none(), "there is a StatefulSet");
        Ok(())
    })
    .await
}
