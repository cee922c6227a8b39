//! Mistakes that keep pods from running: each is told in a word and in a sentence, within seconds, and no longer than
//! it lasts.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::ctx::Ctx;
use crate::scenario::{Scenario, scenario};
use crate::wait::{holds, secs, until};

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[scenario!(
    "mistakes-are-told",
    "no node, no StorageClass, no image, Pod Security, a quota, a second disruption budget: told, and mended",
    mistakes
)
.within(900)];

/// The time within which a mistake is told.
const TOLD: Duration = secs(15);
/// The time from the mend to a cluster that is ready. Kubernetes' own pauses between tries grow meanwhile.
const MENDED: Duration = secs(180);
/// The StorageClass that does not exist at first.
const CLASS: &str = "e2e-not-yet";

/// A mistake in the spec of a cluster of one member.
struct Mistake {
    /// The name of its cluster.
    cluster: &'static str,
    /// The fields of the spec.
    spec: Value,
    /// The word that it is told with.
    reason: &'static str,
    /// Words of Kubernetes.
    words: &'static str,
}

fn in_the_spec() -> Vec<Mistake> {
    let mistake = |cluster, reason, words, spec| Mistake {
        cluster,
        spec,
        reason,
        words,
    };
    let annotation = json!({ "container.apparmor.security.beta.kubernetes.io/etcd": "unconfined" });
    vec![
        mistake(
            "no-node",
            "Unschedulable",
            "nodes are available",
            json!({ "scheduling": { "nodeSelector": { "e2e.test/no-node": "has-this" } } }),
        ),
        mistake(
            "no-class",
            "ProvisioningFailed",
            "\"e2e-not-yet\" not found",
            json!({ "storage": { "size": "1Gi", "storageClassName": CLASS } }),
        ),
        mistake(
            "no-image",
            "ImagePullBackOff",
            "container etcd",
            // Nobody listens there, which the kubelet knows at once.
            json!({ "image": "127.0.0.1:1/etcd:v1" }),
        ),
        mistake(
            "unsafe",
            "FailedCreate",
            "violates PodSecurity",
            json!({ "podTemplate": { "metadata": { "annotations": annotation } } }),
        ),
    ]
}

async fn mistakes(cx: &Ctx) -> Result<()> {
    let mistakes = in_the_spec();
    let start = Instant::now();
    for mistake in &mistakes {
        let cluster = cx.cluster(mistake.cluster);
        let mut manifest = cluster.manifest(1);
        for (field, value) in mistake.spec.as_object().into_iter().flatten() {
            manifest["spec"][field] = value.clone();
        }
        cx.step(format!("kubectl apply {}: {}", mistake.cluster, mistake.spec));
        cx.kubectl.apply(&manifest).await?;
    }
    for mistake in &mistakes {
        let left = TOLD.saturating_sub(start.elapsed());
        told(&cx.cluster(mistake.cluster), mistake.reason, mistake.words, left).await?;
    }
    told_once(cx, &mistakes).await?;

    cx.step("the mistakes are mended");
    class(cx).await?;
    for mistake in mistakes.iter().filter(|mistake| mistake.cluster != "no-class") {
        let fields = mistake.spec.as_object().into_iter().flatten();
        let without: serde_json::Map<_, _> = fields.map(|(field, _)| (field.clone(), Value::Null)).collect();
        patch(&cx.cluster(mistake.cluster), &json!({ "spec": without })).await?;
    }
    for mistake in &mistakes {
        mended(&cx.cluster(mistake.cluster)).await?;
    }
    second_budget(&cx.cluster("no-node")).await?;
    quota(cx).await
}

/// A quota with limits asks for limits of every container, and etcd's has none.
async fn quota(cx: &Ctx) -> Result<()> {
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "limits" },
        "spec": { "hard": { "limits.cpu": "10" } } });
    cx.kubectl.apply(&quota).await?;
    let cluster = cx.cluster("limited");
    cluster.apply(1).await?;
    told(&cluster, "FailedCreate", "must specify limits.cpu for: etcd", TOLD).await?;
    cx.step("kubectl delete resourcequota");
    cx.kubectl.run_line("delete resourcequota limits").await?;
    mended(&cluster).await
}

/// With a second disruption budget for its pod the API server evicts it no more, whatever the budget allows.
async fn second_budget(cluster: &Cluster<'_>) -> Result<()> {
    let cx = cluster.cx;
    let labels = json!({ "app.kubernetes.io/instance": cluster.name() });
    let budget = json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "second" },
        "spec": { "maxUnavailable": 1, "selector": { "matchLabels": labels } } });
    cx.kubectl.apply(&budget).await?;
    let annotations = json!({ "e2e.test/changed": "yes" });
    patch(
        cluster,
        &json!({ "spec": { "podTemplate": { "metadata": { "annotations": annotations } } } }),
    )
    .await?;
    told(cluster, "EvictionRefused", "more than one PodDisruptionBudget", TOLD).await?;
    cx.step("kubectl delete poddisruptionbudget second");
    cx.kubectl.run_line("delete poddisruptionbudget second").await?;
    until("the pod to be replaced", secs(90), async || {
        let pod = cx
            .kubectl
            .get(&format!("pod/{}", cluster.seat(0)))
            .await?
            .unwrap_or_default();
        let changed = &pod["metadata"]["annotations"]["e2e.test/changed"];
        ensure!(changed == "yes", "its annotation is {changed}");
        Ok(())
    })
    .await?;
    mended(cluster).await
}

/// Waits until a mistake is told: in `kubectl get`, and in the conditions with words of Kubernetes.
async fn told(cluster: &Cluster<'_>, reason: &str, words: &str, limit: Duration) -> Result<()> {
    let (cx, start) = (cluster.cx, Instant::now());
    let what = format!("{} to say {reason}, and {words:?}", cluster.name());
    let message = until(&what, limit, async || {
        let status = status(cluster).await?;
        let degraded = condition(&status, "Degraded");
        let message = degraded["message"].as_str().unwrap_or_default();
        ensure!(
            degraded["status"] == "True" && degraded["reason"] == reason && message.contains(words),
            "Degraded is {degraded}, the pods' cluster {}",
            status["summary"]
        );
        ensure!(status["reason"] == reason, "the reason is {}", status["reason"]);
        Ok(message.to_owned())
    })
    .await?;
    let row = cx
        .kubectl
        .run(&["get", "etcdcluster", cluster.name(), "--no-headers"])
        .await?;
    ensure!(
        row.split_whitespace().any(|word| word == reason),
        "kubectl get does not show {reason}: {row}"
    );
    cx.note(format!(
        "{} after {:.1} s more: {reason}: {message}",
        cluster.name(),
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Checks that nothing is written while nothing changes but Kubernetes' tries.
async fn told_once(cx: &Ctx, mistakes: &[Mistake]) -> Result<()> {
    let versions = || async {
        let mut versions = Vec::new();
        for mistake in mistakes {
            let object = cx.cluster(mistake.cluster).object().await?.context("no EtcdCluster")?;
            versions.push((mistake.cluster, object["metadata"]["resourceVersion"].clone()));
        }
        anyhow::Ok(versions)
    };
    let before = versions().await?;
    holds("every EtcdCluster as it is", secs(20), async || {
        let now = versions().await?;
        ensure!(now == before, "one was written: {before:?}, {now:?}");
        Ok(())
    })
    .await
}

/// Waits until the cluster works, and nothing is told of it any more.
async fn mended(cluster: &Cluster<'_>) -> Result<()> {
    let settled = cluster.converged(1, MENDED).await?;
    cluster.reported(&settled).await?;
    let what = format!("{} to be ready, without a reason", cluster.name());
    until(&what, secs(15), async || {
        let status = status(cluster).await?;
        let (ready, degraded) = (condition(&status, "Ready"), condition(&status, "Degraded"));
        ensure!(
            ready["status"] == "True" && degraded["status"] == "False" && status["reason"].is_null(),
            "{ready}, {degraded}, reason {}",
            status["reason"]
        );
        Ok(())
    })
    .await
}

/// Makes the StatefulSet's StorageClass: as the bed's own, under the name that was asked for.
async fn class(cx: &Ctx) -> Result<()> {
    let own = cx.kubectl.get("storageclass/local").await?.context("no StorageClass")?;
    let kubectl = cx.kubectl.clone();
    cx.at_end("the StorageClass goes", async move {
        let line = format!("delete storageclass {CLASS} --ignore-not-found");
        kubectl.run_line(&line).await.map(drop)
    });
    let mut class = json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": CLASS } });
    for field in ["provisioner", "volumeBindingMode", "reclaimPolicy"] {
        class[field] = own[field].clone();
    }
    cx.kubectl.apply(&class).await.map(drop)
}

async fn patch(cluster: &Cluster<'_>, patch: &Value) -> Result<()> {
    let patch = patch.to_string();
    let args = ["patch", "etcdcluster", cluster.name(), "--type=merge", "-p", &patch];
    cluster.cx.step(format!("kubectl {}", args.join(" ")));
    cluster.cx.kubectl.run(&args).await.map(drop)
}

async fn status(cluster: &Cluster<'_>) -> Result<Value> {
    let object = cluster.object().await?.context("no EtcdCluster")?;
    Ok(object["status"].clone())
}

/// A condition of a status; null if it has none of that type.
fn condition(status: &Value, kind: &str) -> Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.into_iter().find(|condition| condition["type"] == kind);
    found.cloned().unwrap_or_default()
}
