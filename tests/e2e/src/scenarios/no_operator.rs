//! A plain manifest, without the operator and without its resource.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::cluster::By;
use crate::ctx::Ctx;
use crate::scenario::{Scenario, scenario};
use crate::wait::secs;
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[scenario!(
    "no-operator",
    "deploy/no-operator.yaml, and its StatefulSet scaled 1→3→1",
    no_operator
)
.every_version()];

async fn no_operator(cx: &Ctx) -> Result<()> {
    let manifest = cx.world.bed.root().join("deploy/no-operator.yaml");
    let text = cx
        .kubectl
        .run(&[
            "create",
            "--dry-run=client",
            "-o",
            "json",
            "-f",
            &manifest.display().to_string(),
        ])
        .await?;
    let mut name = None;
    for mut object in objects(&text)? {
        prepare(&mut object, &cx.version);
        if object["kind"] == "StatefulSet" {
            name = object["metadata"]["name"].as_str().map(str::to_owned);
        }
        cx.kubectl.apply(&object).await?;
    }
    let cluster = cx.cluster(&name.context("there is no StatefulSet in the manifest")?);
    let one = cluster.converged(1, secs(90)).await?;
    cluster.put_data("first").await?;
    let writer = Writer::start(&cluster).await?;
    let three = cluster.scale(3, By::StatefulSet).await?;
    ensure!(
        three.cluster_id == one.cluster_id,
        "it is another cluster: {one:?}, {three:?}"
    );
    let after = cluster.scale(1, By::StatefulSet).await?;
    ensure!(after == one, "seat 0 is another member: {one:?}, {after:?}");
    writer.finish(&cluster).await?;
    cluster.check_data("first").await
}

/// kubectl prints one object after the other.
fn objects(text: &str) -> Result<Vec<Value>> {
    let objects: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    let objects = objects.context("the manifest")?;
    Ok(objects
        .into_iter()
        .flat_map(|object| match object["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![object],
        })
        .collect())
}

/// The manifest is for a namespace and a version of the user's choice.
fn prepare(object: &mut Value, version: &str) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    for subject in object["subjects"].as_array_mut().into_iter().flatten() {
        if let Some(subject) = subject.as_object_mut() {
            subject.remove("namespace");
        }
    }
    replace_tag(object, version);
}

fn replace_tag(value: &mut Value, version: &str) {
    match value {
        Value::String(text) => {
            if let Some((repository, _)) = text
                .clone()
                .rsplit_once(':')
                .filter(|(repository, _)| repository.ends_with("/etcd"))
            {
                *text = format!("{repository}:{version}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace_tag(item, version)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace_tag(field, version)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_etcd_images_get_another_tag() {
        let mut object =
            serde_json::json!({ "a": ["gcr.io/etcd-development/etcd:v3.6.16", "muster/agent:0.1.0", "/var/lib/etcd"] });
        replace_tag(&mut object, "v3.5.21");
        assert_eq!(object["a"][0], "gcr.io/etcd-development/etcd:v3.5.21");
        assert_eq!(object["a"][1], "muster/agent:0.1.0");
        assert_eq!(object["a"][2], "/var/lib/etcd");
    }
}
