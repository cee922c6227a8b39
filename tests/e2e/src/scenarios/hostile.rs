//! Objects that somebody else writes: what they break stays theirs.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::cluster::{By, Cluster};
use crate::ctx::Ctx;
use crate::kubectl::Kubectl;
use crate::scenario::{Scenario, scenario};
use crate::wait::{secs, until};

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[scenario!(
    "unreadable-object",
    "an EtcdCluster that the operator cannot decode is stored: it says so, and the others are looked after",
    unreadable_object
)
.alone()];

const DEFINITION: &str = "customresourcedefinition/etcdclusters.etcd.etcd.io";
/// The bound that keeps such an object out, in the definition.
const BOUND: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/scheduling/properties/topologySpreadConstraints/items/properties/maxSkew/maximum";
/// More than the 32 bits that Kubernetes itself has for it.
const TOO_MUCH: i64 = 3_000_000_000;

async fn unreadable_object(cx: &Ctx) -> Result<()> {
    let (demo, odd) = (cx.cluster("demo"), cx.cluster("odd"));
    demo.create(1).await?;
    let mut manifest = odd.manifest(1);
    manifest["spec"]["scheduling"] = json!({ "topologySpreadConstraints": [{
        "maxSkew": TOO_MUCH, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {},
    }] });
    let said = cx.kubectl.refused(&["apply", "-f", "-"], Some(&manifest)).await?;
    cx.step(format!("with its bounds, the definition refuses it: {said}"));
    ensure!(said.contains("maxSkew"), "the message does not name the field: {said}");

    store(cx, &manifest).await?;
    let message = until("the EtcdCluster to say that it cannot be read", secs(30), async || {
        stalled(&odd).await
    })
    .await?;
    cx.note(message);
    cx.stop_operator().await?;
    cx.start_operator().await?;
    demo.ask_size(3, By::Patch).await?;
    demo.converged(3, secs(120)).await?;

    cx.step("the number is corrected");
    odd.apply(1).await?;
    odd.converged(1, secs(90)).await?;
    Ok(())
}

/// Stores the object while the definition has no bound, as an older one had none.
async fn store(cx: &Ctx, manifest: &Value) -> Result<()> {
    let definition = cx.kubectl.get(DEFINITION).await?.context("no definition")?;
    let bound = definition
        .pointer(BOUND)
        .context("the definition has no bound")?
        .clone();
    cx.step("the definition loses its bound, the object is stored, and the bound is back");
    let back = cx.kubectl.clone();
    cx.at_end("the bound again", async move {
        patch(&back, json!({ "op": "add", "path": BOUND, "value": bound })).await
    });
    patch(&cx.kubectl, json!({ "op": "remove", "path": BOUND })).await?;
    until("the API server to store the object", secs(30), async || {
        cx.kubectl.apply(manifest).await
    })
    .await?;
    let bound = json!(i32::MAX);
    patch(&cx.kubectl, json!({ "op": "add", "path": BOUND, "value": bound })).await
}

async fn patch(kubectl: &Kubectl, step: Value) -> Result<()> {
    let patch = json!([step]).to_string();
    kubectl.run(&["patch", DEFINITION, "--type=json", "-p", &patch]).await?;
    Ok(())
}

/// The message of the condition Stalled, if it names the field.
async fn stalled(cluster: &Cluster<'_>) -> Result<String> {
    let object = cluster.object().await?.context("no EtcdCluster")?;
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let stalled = conditions
        .iter()
        .find(|one| one["type"] == "Stalled" && one["status"] == "True");
    let stalled = stalled.with_context(|| format!("conditions: {conditions:?}"))?;
    let message = stalled["message"].as_str().unwrap_or_default();
    ensure!(
        stalled["reason"] == "UnreadableObject" && message.contains("maxSkew") && message.contains("3000000000"),
        "{stalled}"
    );
    Ok(message.to_owned())
}
