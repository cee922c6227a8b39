//! Input that cannot work: it is refused where the user sees it, and nothing is touched.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::cluster::{By, Cluster};
use crate::ctx::Ctx;
use crate::judge;
use crate::scenario::{Scenario, scenario};
use crate::wait::{holds, secs, until};

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "refused-at-admission",
        "a size of 10, an unsupported version, a changed immutable field: refused in a sentence",
        refused
    ),
    scenario!(
        "foreign-statefulset",
        "a StatefulSet of the cluster's name that is not ours is reported, not touched",
        foreign_set
    ),
    scenario!(
        "foreign-volume",
        "a volume with another cluster's data is refused and kept; the others go on",
        foreign_volume
    )
    .within(600),
];

async fn refused(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let with = |path: &str, value: Value| {
        let mut manifest = cluster.manifest(1);
        if let Some(field) = manifest.pointer_mut(path) {
            *field = value;
        }
        manifest
    };
    for (path, value, word) in [
        ("/spec/size", json!(10), "size"),
        ("/spec/size", json!(-1), "size"),
        ("/spec/version", json!("3.4.30"), "version"),
    ] {
        let said = cx
            .kubectl
            .refused(&["apply", "-f", "-"], Some(&with(path, value.clone())))
            .await?;
        cx.step(format!("{path} = {value}: {said}"));
        ensure!(said.contains(word), "the message does not speak of {word}: {said}");
    }
    ensure!(cluster.object().await?.is_none(), "a refused EtcdCluster exists");
    let before = cluster.create(1).await?;
    let said = cx
        .kubectl
        .refused(&["apply", "-f", "-"], Some(&with("/spec/storage/size", json!("2Gi"))))
        .await?;
    cx.step(&said);
    ensure!(
        said.contains("storage"),
        "the message does not speak of storage: {said}"
    );
    let said = cx
        .kubectl
        .refused(&["scale", "etcdcluster", "demo", "--replicas=10"], None)
        .await?;
    cx.step(&said);
    ensure!(said.contains("size"), "the message does not speak of the size: {said}");
    let after = cluster.converged(1, secs(10)).await?;
    ensure!(after == before, "the cluster changed: {before:?}, {after:?}");
    Ok(())
}

async fn foreign_set(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let labels = json!({ "app": "somebody-elses" });
    let foreign = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": cluster.name() },
        "spec": {
            "replicas": 0,
            "serviceName": "somebody-elses",
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "main", "image": "somebody/elses:1" }] },
            },
        },
    });
    cx.kubectl.apply(&foreign).await?;
    let look = || async {
        let set = cluster
            .stateful_set()
            .await?
            .context("the foreign StatefulSet is gone")?;
        anyhow::Ok((
            set.metadata.uid,
            set.metadata.generation,
            set.metadata.labels,
            set.metadata.annotations,
            set.metadata.owner_references,
        ))
    };
    let before = look().await?;
    cluster.apply(1).await?;
    let message = until("a condition that speaks of the StatefulSet", secs(30), async || {
        condition(&cluster, "StatefulSet").await
    })
    .await?;
    cx.note(message);
    holds("the foreign StatefulSet", secs(5), async || {
        let now = look().await?;
        ensure!(now == before, "it was touched: {before:?}, {now:?}");
        Ok(())
    })
    .await?;
    cx.step("the foreign StatefulSet goes: the cluster comes");
    cx.kubectl
        .run_line(&format!("delete statefulset {}", cluster.name()))
        .await?;
    let settled = cluster.converged(1, secs(90)).await?;
    cluster.reported(&settled).await
}

/// A condition whose message has a word.
async fn condition(cluster: &Cluster<'_>, word: &str) -> Result<String> {
    let object = cluster.object().await?.context("no EtcdCluster")?;
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let messages: Vec<_> = conditions
        .iter()
        .map(|one| {
            format!(
                "{} {} {}: {}",
                one["type"],
                one["status"],
                one["reason"],
                one["message"].as_str().unwrap_or_default()
            )
        })
        .collect();
    messages
        .iter()
        .find(|text| text.contains(word))
        .cloned()
        .with_context(|| format!("conditions: {messages:?}"))
}

async fn foreign_volume(cx: &Ctx) -> Result<()> {
    let other = cx.cluster("other");
    let others = other.create(1).await?;
    other.put_data("other").await?;
    cx.kubectl.run_line("delete etcdcluster other").await?;
    until("the other cluster's pods to go", secs(150), async || {
        ensure!(other.pods().await?.is_empty(), "still there");
        Ok(())
    })
    .await?;
    let demo = cx.cluster("demo");
    let one = demo.create(1).await?;
    demo.put_data("demo").await?;
    hand_over(cx, "data-other-0", "data-demo-1").await?;

    demo.ask_size(3, By::Patch).await?;
    let seats = [demo.seat(0), demo.seat(2)];
    let both = until("seats 0 and 2 to be members", secs(120), async || {
        judge::look_at(&demo, &seats).await
    })
    .await?;
    ensure!(both.cluster_id == one.cluster_id, "it is another cluster: {both:?}");
    let why = until("seat 1 to say that it refuses", secs(60), async || {
        seat_refuses(&demo, 1).await
    })
    .await?;
    cx.note(why);
    holds("seat 1 outside", secs(5), async || {
        judge::look_at(&demo, &seats).await.map(|_| ())
    })
    .await?;

    demo.ask_size(1, By::Patch).await?;
    demo.converged(1, secs(150)).await?;
    demo.check_data("demo").await?;
    cx.step("the volume goes back, and its cluster with it");
    hand_over(cx, "data-demo-1", "data-other-0").await?;
    other.apply(1).await?;
    let again = other.converged(1, secs(90)).await?;
    ensure!(again == others, "the other cluster changed: {others:?}, {again:?}");
    other.check_data("other").await
}

/// The volume of one claim becomes that of another.
async fn hand_over(cx: &Ctx, from: &str, to: &str) -> Result<()> {
    cx.step(format!("the volume of {from} becomes that of {to}"));
    let claim = cx
        .kubectl
        .get(&format!("persistentvolumeclaim/{from}"))
        .await?
        .with_context(|| format!("no claim {from}"))?;
    let volume = claim["spec"]["volumeName"]
        .as_str()
        .with_context(|| format!("{from} has no volume"))?;
    let patch = |patch: Value| async move {
        cx.kubectl
            .run(&[
                "patch",
                "persistentvolume",
                volume,
                "--type=merge",
                "-p",
                &patch.to_string(),
            ])
            .await
    };
    patch(json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } })).await?;
    cx.kubectl
        .run_line(&format!("delete persistentvolumeclaim {from} --timeout=60s"))
        .await?;
    patch(json!({ "spec": { "claimRef": null } })).await?;
    let mut new = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": to, "labels": claim["metadata"]["labels"] },
        "spec": claim["spec"],
    });
    // The new claim is of the cluster whose name it bears.
    let instance = to
        .trim_start_matches("data-")
        .rsplit_once('-')
        .map_or(to, |(name, _)| name);
    new["metadata"]["labels"]["app.kubernetes.io/instance"] = json!(instance);
    cx.kubectl.apply(&new).await?;
    until(&format!("{to} to be bound"), secs(30), async || {
        let claim = cx
            .kubectl
            .get(&format!("persistentvolumeclaim/{to}"))
            .await?
            .unwrap_or_default();
        ensure!(claim["status"]["phase"] == "Bound", "its status is {}", claim["status"]);
        Ok(())
    })
    .await
}

/// The sentence of a seat that refuses its volume.
async fn seat_refuses(cluster: &Cluster<'_>, seat: u32) -> Result<String> {
    let (said, name) = (cluster.seat_status(seat).await?, cluster.seat(seat));
    ensure!(
        said["phase"] == "Refused",
        "{name} is {}: {}",
        said["phase"],
        said["why"]
    );
    Ok(format!("{name}: {}", said["why"].as_str().unwrap_or_default()))
}
