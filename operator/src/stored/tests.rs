//! Objects that the API server accepts and this release cannot read, chosen by hand and by chance.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::generate::crd::definition;
use crate::status::render_unreadable;
use crate::validate;
use crate::written::Written;

mod arbitrary;

fn stored(spec: Value, status: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "etcd.etcd.io/v1alpha1", "kind": "EtcdCluster",
        "metadata": { "name": "db", "namespace": "ns", "uid": "1", "generation": 4 },
        "spec": spec, "status": status,
    }))
    .unwrap()
}

#[test]
fn a_number_that_no_type_holds_is_named_with_its_field() {
    let spread = json!([{ "maxSkew": 3_000_000_000_i64, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule" }]);
    let spec = json!({ "size": 1, "scheduling": { "topologySpreadConstraints": spread } });
    let unreadable = read(stored(spec, json!({ "replicas": 3 }))).unwrap_err();
    let sentence = unreadable.to_string();
    for word in ["spec.scheduling.topologySpreadConstraints[0].maxSkew", "3000000000"] {
        assert!(sentence.contains(word), "{sentence}");
    }
    assert_eq!(unreadable.cluster.metadata.generation, Some(4));
    assert_eq!(unreadable.cluster.status.unwrap().replicas, Some(3));
}

#[test]
fn a_spec_that_is_not_there_is_named() {
    let unreadable = read(stored(Value::Null, Value::Null)).unwrap_err();
    assert!(
        unreadable.to_string().starts_with("this release cannot read spec: "),
        "{unreadable}"
    );
    assert_eq!(unreadable.cluster.status, None);
}

#[test]
fn a_list_with_one_entry_that_cannot_be_read_counts_as_not_published() {
    let id = "00000000000000aa";
    let member = |id| json!({ "id": id, "peerURL": "http://db-0", "role": "Voter", "started": true });
    let status = json!({
        "clusterID": id, "leader": "db-0", "members": [member(id), member("?")],
        "seats": [{ "name": "db-0", "phase": 7 }], "readyReplicas": 3_000_000_000_i64,
    });
    let status = read(stored(json!({ "size": 3 }), status)).unwrap().status.unwrap();
    assert!(status.members.is_empty() && status.seats.is_empty());
    assert_eq!((status.leader.as_deref(), status.ready_replicas), (Some("db-0"), None));
    assert_eq!(status.cluster_id.map(|id| id.0), Some(0xaa));
}

#[test]
fn a_status_that_is_no_object_counts_as_empty() {
    let cluster = read(stored(json!({ "size": 3 }), json!("?"))).unwrap();
    assert_eq!(cluster.status, Some(EtcdClusterStatus::default()));
}

#[test]
fn a_cluster_id_that_cannot_be_read_is_not_the_same_as_none() {
    let unreadable = read(stored(json!({ "size": 3 }), json!({ "clusterID": "?" }))).unwrap_err();
    assert!(unreadable.to_string().contains("status.clusterID"), "{unreadable}");
}

fn schema() -> JSONSchemaProps {
    let mut versions = definition().spec.versions;
    versions.remove(0).schema.unwrap().open_api_v3_schema.unwrap()
}

/// An object of the definition, as the API server stores it.
fn accepted() -> impl Strategy<Value = DynamicObject> {
    let schema = schema();
    let part = |name: &str| arbitrary::of(&schema.properties.as_ref().unwrap()[name]);
    (part("spec"), part("status")).prop_map(|(spec, status)| stored(spec, status))
}

/// Any value, with the names that the definition knows among its keys.
fn anything() -> impl Strategy<Value = Value> {
    const KEYS: &[&str] = &[
        "size",
        "storage",
        "scheduling",
        "resources",
        "members",
        "seats",
        "conditions",
        "clusterID",
        "id",
        "phase",
    ];
    arbitrary::json(prop_oneof![proptest::sample::select(KEYS).prop_map(str::to_owned), ".{0,3}"].boxed())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_definition_allows_can_be_read(object in accepted()) {
        let text = serde_json::to_string(&object).unwrap();
        match read(object) {
            // A verdict on the spec, and no panic.
            Ok(cluster) => drop(validate::stored(&cluster, &Written::default())),
            Err(unreadable) => return Err(TestCaseError::fail(format!("{unreadable}: {text}"))),
        }
    }

    #[test]
    fn whatever_is_stored_ends_in_a_cluster_or_in_a_sentence(spec in anything(), status in anything()) {
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
        match read(stored(spec, status)) {
            Ok(cluster) => drop(validate::stored(&cluster, &Written::default())),
            Err(unreadable) => {
                let status = render_unreadable(&unreadable, &now);
                let stalled = status.conditions.iter().find(|condition| condition.type_ == "Stalled").unwrap();
                prop_assert!(stalled.message.starts_with("This release cannot read "), "{}", stalled.message);
            }
        }
    }
}
