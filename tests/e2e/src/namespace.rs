//! A namespace of its own for each scenario, from an empty one to nothing.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, Pod};
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::ctx::Ctx;
use crate::wait::{secs, until};

/// Makes the scenario's namespace, without anything an earlier run left.
pub(crate) async fn create(cx: &Ctx) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(cx.world.client.clone());
    if namespaces.get_opt(&cx.namespace).await?.is_some() {
        cx.step("an earlier run left its namespace");
        remove(cx).await?;
    }
    cx.kubectl.apply(&manifest(&cx.namespace)).await?;
    Ok(())
}

/// A namespace whose pods must satisfy the restricted Pod Security Standard.
pub(crate) fn manifest(name: &str) -> Value {
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
}

/// Removes the namespace and the volumes of its claims.
pub(crate) async fn remove(cx: &Ctx) -> Result<()> {
    // Without their owners nothing makes new pods, and pods need not be polite.
    for kind in ["etcdclusters.etcd.etcd.io", "statefulsets"] {
        cx.kubectl
            .run_if_known(&format!("delete {kind} --all --wait=false --ignore-not-found"))
            .await?;
    }
    cx.kubectl
        .run_line("delete pods --all --grace-period=1 --wait=false --ignore-not-found")
        .await?;
    // A namespace that still holds pods when it is deleted is looked at again only after half their grace period.
    let pods: Api<Pod> = Api::namespaced(cx.world.client.clone(), &cx.namespace);
    until("the namespace's pods to go", secs(60), async || {
        let left = pods.list(&ListParams::default()).await?.items.len();
        ensure!(left == 0, "{left} are still there");
        Ok(())
    })
    .await?;
    cx.kubectl
        .run_line("delete persistentvolumeclaims --all --wait=false --ignore-not-found")
        .await?;
    cx.kubectl
        .run_line(&format!(
            "delete namespace {} --wait=false --ignore-not-found",
            cx.namespace
        ))
        .await?;
    let namespaces: Api<Namespace> = Api::all(cx.world.client.clone());
    until(&format!("namespace {} to go", cx.namespace), secs(150), async || {
        let left = namespaces.get_opt(&cx.namespace).await?;
        let status = left.as_ref().and_then(|left| left.status.as_ref());
        ensure!(left.is_none(), "it is still there: {}", serde_json::to_string(&status)?);
        Ok(())
    })
    .await?;
    remove_volumes(cx).await
}

/// Removes volumes that outlive their claims.
async fn remove_volumes(cx: &Ctx) -> Result<()> {
    let volumes: Api<PersistentVolume> = Api::all(cx.world.client.clone());
    until("the namespace's volumes to go", secs(60), async || {
        let all = volumes.list(&ListParams::default()).await?.items;
        let ours = all.iter().filter(|volume| {
            let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            claim.and_then(|claim| claim.namespace.as_deref()) == Some(cx.namespace.as_str())
        });
        let names: Vec<_> = ours.filter_map(|volume| volume.metadata.name.as_deref()).collect();
        for name in &names {
            cx.kubectl
                .run_line(&format!(
                    "delete persistentvolume {name} --wait=false --ignore-not-found"
                ))
                .await?;
        }
        ensure!(names.is_empty(), "{names:?} are still there");
        Ok(())
    })
    .await
}
