//! Copies of volumes: by a clone, a snapshot, or a backup tool that maps namespaces.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::ctx::Ctx;
use crate::kubectl::Kubectl;
use crate::namespace;
use crate::scenario::{Scenario, scenario};
use crate::wait::{holds, secs, until};
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[scenario!(
    "copied-volume",
    "a copy of a live member's volume in another namespace, with and without names: refused there, and unnoticed here",
    copied_volume
)];

async fn copied_volume(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    let writer = Writer::start(&cluster).await?;
    let namespace = format!("{}-copy", cx.namespace);
    let there = Kubectl::new(&namespace);
    let (volume, path) = copy_volume(cx, &there, &namespace).await?;
    cx.step(format!("kubectl apply demo with size 1 in {namespace}, over {volume}"));
    there.apply(&cluster.manifest(1)).await?;
    let why = until("the copy to be refused", secs(90), async || refused(&there).await).await?;
    for namespace in [&cx.namespace, &namespace] {
        ensure!(
            why.contains(&format!("namespace {namespace}")),
            "the sentence does not name {namespace}: {why}"
        );
    }
    cx.note(why);
    holds("the original whole, and the copy refused", secs(10), async || {
        refused(&there).await?;
        let now = cluster.converged(3, secs(1)).await?;
        ensure!(now == before, "the original changed: {before:?}, {now:?}");
        Ok(())
    })
    .await?;
    forget_names(cx, &path).await?;
    let nameless = async || {
        let why = refused(&there).await?;
        ensure!(why.contains("does not say whose, and may be a copy"), "it says: {why}");
        Ok(why)
    };
    cx.note(until("the copy without names to be refused", secs(60), nameless).await?);
    holds(
        "the original whole, and the nameless copy refused",
        secs(10),
        async || {
            nameless().await?;
            let now = cluster.converged(3, secs(1)).await?;
            ensure!(now == before, "the original changed: {before:?}, {now:?}");
            Ok(())
        },
    )
    .await?;
    writer.finish(&cluster).await?;
    Ok(())
}

/// Makes a volume's identity that of an earlier release, which noted neither namespace nor cluster.
async fn forget_names(cx: &Ctx, path: &str) -> Result<()> {
    cx.step("the copy's identity loses its names");
    let (file, new) = (format!("{path}/identity.json"), format!("{path}/identity.new"));
    let mut identity: Value = serde_json::from_slice(&tokio::fs::read(&file).await?)?;
    let keys = identity.as_object_mut().context("no identity")?;
    ensure!(keys.remove("namespace").is_some(), "the identity names no namespace");
    keys.remove("cluster");
    tokio::fs::write(&new, serde_json::to_vec(&identity)?).await?;
    Ok(tokio::fs::rename(&new, &file).await?)
}

/// Copies the volume of seat 0 as one that is bound to the claim of the same name in `namespace`; returns its name
/// and its folder.
async fn copy_volume(cx: &Ctx, there: &Kubectl, namespace: &str) -> Result<(String, String)> {
    let claim = cx.kubectl.get("persistentvolumeclaim/data-demo-0").await?;
    let name = claim.context("no claim")?["spec"]["volumeName"].clone();
    let name = name.as_str().context("a claim without a volume")?.to_owned();
    let original = cx.kubectl.get(&format!("persistentvolume/{name}")).await?;
    let original = original.context("no volume")?;
    let path = original["spec"]["local"]["path"].as_str().context("no local volume")?;
    let (copy, copy_path) = (format!("{name}-copy"), format!("{path}-copy"));
    let back = (there.clone(), namespace.to_owned(), copy.clone(), copy_path.clone());
    cx.at_end("the copy goes", async move { remove(back).await });
    cx.step(format!("the volume {name} is copied"));
    let copied = Command::new("cp").args(["-a", path, &copy_path]).status().await?;
    ensure!(copied.success(), "cp: {copied}");
    there.apply(&namespace::manifest(namespace)).await?;
    let mut spec = original["spec"].clone();
    spec["local"]["path"] = json!(copy_path);
    spec["persistentVolumeReclaimPolicy"] = json!("Retain");
    spec["claimRef"] = json!({ "namespace": namespace, "name": "data-demo-0" });
    there
        .apply(&json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": copy }, "spec": spec,
        }))
        .await?;
    Ok((copy, copy_path))
}

async fn remove((there, namespace, volume, path): (Kubectl, String, String, String)) -> Result<()> {
    there
        .run_line("delete etcdcluster demo --ignore-not-found --timeout=60s")
        .await?;
    for line in [
        "delete pods --all --grace-period=1 --timeout=60s".to_owned(),
        format!("delete namespace {namespace} --ignore-not-found --timeout=120s"),
        format!("delete persistentvolume {volume} --ignore-not-found --timeout=60s"),
    ] {
        there.run_line(&line).await?;
    }
    tokio::fs::remove_dir_all(path).await?;
    Ok(())
}

/// The sentence with which seat 0 of the other namespace refuses its volume.
async fn refused(there: &Kubectl) -> Result<String> {
    let cluster: Value = there.get("etcdcluster/demo").await?.context("no EtcdCluster")?;
    let seat = &cluster["status"]["seats"][0];
    ensure!(seat["phase"] == "Refused", "seat 0 is {seat}");
    Ok(seat["why"].as_str().unwrap_or_default().to_owned())
}
