//! An EtcdCluster as it is stored, and as this release reads it. No client.
//!
//! The API server checks an object against the definition of its day. An object that was stored under an older or a
//! later definition, and a number that no type here can hold, must hold up that one cluster and no other: the watch
//! reads metadata only, and each object is decoded here, by itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};
use muster_api::cluster::{EtcdCluster, EtcdClusterSpec};
use muster_api::status::EtcdClusterStatus;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[cfg(test)]
mod tests;

/// The EtcdClusters of a namespace, not decoded.
pub(crate) fn clusters(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<EtcdCluster>(&()))
}

/// An EtcdCluster that this release cannot read.
#[derive(Debug, thiserror::Error)]
#[error("this release cannot read {problem}")]
pub(crate) struct Unreadable {
    /// The object for reports: its metadata, and of its status what can be read. Its spec is a placeholder that
    /// nothing is built from.
    pub(crate) cluster: EtcdCluster,
    /// The field, and what is wrong with it.
    problem: String,
}

/// Decodes an EtcdCluster. Of the status, fields that cannot be decoded count as not published.
///
/// # Errors
/// The spec, or the cluster ID in the status, cannot be decoded. Without the cluster ID, a cluster that exists could
/// be taken for one that was never formed.
pub(crate) fn read(stored: DynamicObject) -> Result<EtcdCluster, Box<Unreadable>> {
    let DynamicObject { metadata, mut data, .. } = stored;
    let (status, lost) = status(data["status"].take());
    let cluster = |metadata: ObjectMeta, spec| EtcdCluster { metadata, spec, status };
    let cluster_id = lost.iter().find(|problem| problem.starts_with("status.clusterID:"));
    let problem = match (decode::<EtcdClusterSpec>("spec", &data["spec"]), cluster_id) {
        (Ok(spec), None) => return Ok(cluster(metadata, spec)),
        (Err((_, problem)), _) => problem,
        (Ok(_), Some(problem)) => problem.clone(),
    };
    Err(Box::new(Unreadable {
        cluster: cluster(metadata, EtcdClusterSpec::of_size(0)),
        problem,
    }))
}

/// The status without the fields that cannot be decoded, and what is wrong with each of those.
fn status(mut stored: Value) -> (Option<EtcdClusterStatus>, Vec<String>) {
    let mut lost = Vec::new();
    if stored.is_null() {
        return (None, lost);
    }
    loop {
        let (field, problem) = match decode("status", &stored) {
            Ok(status) => return (Some(status), lost),
            Err(error) => error,
        };
        lost.push(problem);
        // Whole fields: a list without one of its entries would say that a member is gone.
        let removed = stored.as_object_mut().and_then(|fields| fields.remove(&field));
        if removed.is_none() {
            return (Some(EtcdClusterStatus::default()), lost);
        }
    }
}

/// Decodes a value; an error is the field of `value` that it is in, and the sentence.
fn decode<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = path.split(['.', '[']).next().unwrap_or_default().to_owned();
        let place = match path.as_str() {
            "." | "?" => name.to_owned(),
            path => format!("{name}.{path}"),
        };
        (field, format!("{place}: {}", error.into_inner()))
    })
}
