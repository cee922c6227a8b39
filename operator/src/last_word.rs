//! Whose word about the size is the last one, the EtcdCluster's or the StatefulSet's.
//!
//! The sizes alone do not tell: one that was changed and changed back while the operator was away looks as if
//! nobody had touched it. The API server notes in `metadata.managedFields` when each field's owner last wrote.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};
use kube::ResourceExt;
use muster_api::cluster::EtcdCluster;

/// Whether the EtcdCluster's size was written after the StatefulSet's replicas (or in the same second), and the
/// operator has not acted on it yet.
pub fn is_the_clusters(cluster: &EtcdCluster, set: &StatefulSet) -> bool {
    let observed = cluster.status.as_ref().and_then(|status| status.observed_generation);
    let size = written(cluster.managed_fields(), "f:size");
    let replicas = written(set.managed_fields(), "f:replicas");
    observed != cluster.metadata.generation && size.is_some() && replicas.is_some() && size >= replicas
}

/// When `spec`'s field was last written, by whomever.
fn written(entries: &[ManagedFieldsEntry], field: &str) -> Option<Time> {
    let owns = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:spec"));
        fields.is_some_and(|spec| spec.get(field).is_some())
    };
    entries.iter().filter(owns).filter_map(|entry| entry.time.clone()).max()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(manager: &str, field: &str, time: &str) -> Value {
        json!({
            "manager": manager, "operation": "Update", "time": time, "fieldsType": "FieldsV1",
            "fieldsV1": { "f:spec": { field: {} } },
        })
    }

    fn cluster(observed: i64, written: &[Value]) -> EtcdCluster {
        let object = json!({
            "apiVersion": "etcd.etcd.io/v1alpha1", "kind": "EtcdCluster",
            "metadata": { "name": "db", "generation": 7, "managedFields": written },
            "spec": { "size": 3 },
            "status": { "observedGeneration": observed },
        });
        serde_json::from_value(object).unwrap()
    }

    fn set(time: &str) -> StatefulSet {
        let written = [
            entry("muster-operator", "f:replicas", "2026-01-01T10:00:00Z"),
            entry("kubectl", "f:replicas", time),
        ];
        serde_json::from_value(json!({ "metadata": { "name": "db", "managedFields": written } })).unwrap()
    }

    #[test]
    fn the_later_one_has_the_last_word() {
        let written = [
            entry("kubectl-edit", "f:size", "2026-01-01T10:00:05Z"),
            entry("kubectl", "f:size", "2026-01-01T10:00:01Z"),
            entry("kubectl", "f:version", "2026-01-01T10:00:09Z"),
        ];
        let cluster = cluster(6, &written);
        assert!(is_the_clusters(&cluster, &set("2026-01-01T10:00:04Z")));
        assert!(is_the_clusters(&cluster, &set("2026-01-01T10:00:05Z")));
        assert!(!is_the_clusters(&cluster, &set("2026-01-01T10:00:06Z")));
    }

    #[test]
    fn what_was_acted_on_is_no_word_against_the_stateful_set() {
        let written = [entry("kubectl", "f:size", "2026-01-01T10:00:05Z")];
        assert!(!is_the_clusters(&cluster(7, &written), &set("2026-01-01T10:00:05Z")));
    }

    #[test]
    fn who_does_not_say_when_has_no_last_word() {
        assert!(!is_the_clusters(&cluster(6, &[]), &set("2026-01-01T10:00:05Z")));
        let written = [entry("kubectl", "f:size", "2026-01-01T10:00:05Z")];
        let silent = StatefulSet::default();
        assert!(!is_the_clusters(&cluster(6, &written), &silent));
    }
}
