//! The steps a user waits for, timed from the API server's answer to the
//! moment that the judge is content.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::ctx::Ctx;
use crate::judge;
use crate::plain;
use crate::wait::{secs, until, until_every};
use crate::world::etcd_cluster_resource;

/// The time from one look of the judge to the next: the resolution of the measurements.
const LOOK: Duration = Duration::from_millis(25);

/// etcd adds no member before every voter has been connected for 5 s: a step that followed another at
/// once would be charged for the one before it.
const SETTLE: Duration = Duration::from_secs(6);

/// create 1, 1→3, 3→5, 5→3, 3→1 on one cluster, in seconds; each begins at rest.
pub(super) async fn walk(cx: &Ctx, name: &str) -> Result<Vec<(String, f64)>> {
    let cluster = cx.cluster(name);
    let mut times = vec![("create 1".to_owned(), create(&cluster, 1).await?)];
    for (from, to) in [(1, 3), (3, 5), (5, 3), (3, 1)] {
        tokio::time::sleep(SETTLE).await;
        times.push((format!("{from}→{to}"), resize(&cluster, to).await?));
    }
    remove(&cluster).await?;
    Ok(times)
}

/// create 3, in seconds.
pub(super) async fn create_3(cx: &Ctx, name: &str) -> Result<f64> {
    let cluster = cx.cluster(name);
    let seconds = create(&cluster, 3).await?;
    remove(&cluster).await?;
    Ok(seconds)
}

/// Creates the same pods without Muster, in seconds.
pub(super) async fn floor(cx: &Ctx, name: &str, size: u32) -> Result<f64> {
    let cluster = cx.cluster(name);
    let start = plain::create(cx, name, size).await?;
    wait(&cluster, size).await?;
    let seconds = start.elapsed().as_secs_f64();
    remove(&cluster).await?;
    plain::remove_services(cx, name).await?;
    Ok(seconds)
}

/// Creates a cluster; the seconds it took.
pub(super) async fn create(cluster: &Cluster<'_>, size: u32) -> Result<f64> {
    timed(
        cluster,
        size,
        &Patch::Apply(cluster.manifest(size)),
        PatchParams::apply("muster-bench").force(),
    )
    .await
}

async fn resize(cluster: &Cluster<'_>, size: u32) -> Result<f64> {
    let patch = json!({ "spec": { "size": size } });
    timed(cluster, size, &Patch::Merge(patch), PatchParams::default()).await
}

async fn timed(cluster: &Cluster<'_>, size: u32, patch: &Patch<Value>, how: PatchParams) -> Result<f64> {
    let api: Api<DynamicObject> = Api::namespaced_with(
        cluster.cx.world.client.clone(),
        &cluster.cx.namespace,
        &etcd_cluster_resource(),
    );
    let start = Instant::now();
    api.patch(cluster.name(), &how, patch).await?;
    wait(cluster, size).await?;
    Ok(start.elapsed().as_secs_f64())
}

/// Waits for the judge, at the benchmark's resolution.
async fn wait(cluster: &Cluster<'_>, size: u32) -> Result<()> {
    let what = format!("{} to have {size} members", cluster.name());
    until_every(&what, secs(240), LOOK, async || judge::look(cluster, size).await).await?;
    Ok(())
}

/// Removes a cluster, so that the next one has the machine to itself.
pub(super) async fn remove(cluster: &Cluster<'_>) -> Result<()> {
    let cx = cluster.cx;
    let name = cluster.name();
    for kind in ["etcdcluster", "statefulset"] {
        cx.kubectl
            .run_if_known(&format!("delete {kind} {name} --ignore-not-found --wait=false"))
            .await?;
    }
    let selector = format!("app.kubernetes.io/instance={name}");
    until("the pods to go", secs(150), async || {
        let left = cluster.pods().await?.len();
        ensure!(left == 0, "{left} pods");
        Ok(())
    })
    .await?;
    cx.kubectl
        .run_line(&format!(
            "delete persistentvolumeclaims --selector={selector} --ignore-not-found"
        ))
        .await?;
    // The kubelets are still busy for a moment after their pods are gone.
    tokio::time::sleep(secs(3)).await;
    Ok(())
}
