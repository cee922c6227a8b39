//! The rules of the definition, evaluated as the API server does.

use kube::CustomResourceExt;
use kube::core::cel::Validator;
use muster_api::EtcdCluster;
use serde_json::{Value, json};

/// The API server's complaints about a new or a changed object.
fn said(name: &str, spec: Value, before: Option<Value>) -> Vec<String> {
    let schema = serde_json::to_value(EtcdCluster::crd()).expect("a definition is JSON");
    let schema = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    // Defaults are filled in before rules are checked.
    let object = |spec: &Value| {
        let mut spec = spec.clone();
        let fields = spec.as_object_mut().expect("a spec is an object");
        fields.entry("version").or_insert(json!("3.6.16"));
        fields.entry("storage").or_insert(json!({}));
        json!({ "metadata": { "name": name }, "spec": spec })
    };
    let before = before.as_ref().map(object);
    match Validator::new().validate(schema, &object(&spec), before.as_ref()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| error.message.clone()).collect(),
    }
}

fn new(spec: Value) -> Vec<String> {
    said("db", spec, None)
}

fn changed(before: Value, spec: Value) -> Vec<String> {
    said("db", spec, Some(before))
}

#[test]
fn manifests_that_make_sense_are_accepted() {
    for spec in [
        json!({ "size": 0 }),
        json!({ "size": 9 }),
        json!({ "size": 3, "version": "v3.5.21" }),
        json!({ "size": 3, "version": "3.5.100" }),
        json!({ "size": 3, "repository": "registry.example/etcd" }),
        json!({ "size": 3, "storage": { "ephemeral": {} } }),
        json!({ "size": 3, "etcdOptions": ["--quota-backend-bytes=1", "--max-txn-ops=256", "--pre-vote"] }),
    ] {
        assert_eq!(new(spec.clone()), [""; 0], "{spec}");
    }
}

#[test]
fn what_can_never_work_is_refused_with_a_sentence() {
    for (spec, sentence) in [
        (json!({ "size": 10 }), "size is between 0 and 9"),
        (json!({ "size": -1 }), "size is between 0 and 9"),
        (json!({ "size": 1, "version": "latest" }), "version is of the form"),
        (json!({ "size": 1, "version": "3.5.10" }), "supported etcd versions"),
        (json!({ "size": 1, "version": "3.7.0" }), "supported etcd versions"),
        (json!({ "size": 1, "image": "a", "repository": "b" }), "not both"),
        (json!({ "size": 1, "tls": {} }), "TLS is not supported yet"),
        (
            json!({ "size": 1, "storage": { "ephemeral": {}, "size": "1Gi" } }),
            "ephemeral storage has no volume claim",
        ),
        (json!({ "size": 1, "etcdOptions": ["-name=x"] }), "--flag=value"),
        (
            json!({ "size": 1, "etcdOptions": ["--initial-cluster-state=new"] }),
            "what Muster decides",
        ),
    ] {
        let said = new(spec.clone());
        assert!(said.len() == 1 && said[0].contains(sentence), "{spec}: {said:?}");
    }
}

#[test]
fn names_that_pods_and_services_cannot_carry_are_refused() {
    for name in ["1db", "d.b", &"d".repeat(53)] {
        assert_eq!(said(name, json!({ "size": 1 }), None).len(), 1, "{name}");
    }
    assert!(said(&"d".repeat(52), json!({ "size": 1 }), None).is_empty());
}

#[test]
fn storage_does_not_change() {
    let with = |storage: Value| json!({ "size": 1, "storage": storage });
    for (before, after) in [
        (json!({ "size": "1Gi" }), json!({ "size": "2Gi" })),
        (json!({ "size": "1Gi" }), json!({})),
        (json!({}), json!({ "ephemeral": {} })),
        (json!({ "storageClassName": "a" }), json!({ "storageClassName": "b" })),
        (json!({ "storageClassName": "a" }), json!({})),
    ] {
        assert_eq!(
            changed(with(before.clone()), with(after.clone())).len(),
            1,
            "{before} to {after}"
        );
    }
    assert!(changed(with(json!({})), with(json!({ "size": "8Gi" }))).is_empty());
    assert!(
        changed(
            with(json!({})),
            with(json!({ "retention": "Delete", "whenScaled": "Delete" }))
        )
        .is_empty()
    );
}

/// The owned flags are told apart by a regular expression there, and by a list
/// here.
#[test]
fn both_checks_of_etcd_options_agree() {
    for option in [
        "--name=x",
        "--names=x",
        "--data-dir=/x",
        "--listen-metrics-urls=x",
        "--discovery-srv=x",
        "--peer-auto-tls",
        "--max-learners=4",
        "--max-request-bytes=1",
        "--unsafe-no-fsync",
        "--snapshot-count=5",
        "--experimental-max-learners=2",
        "--experimental-compact-hash-check-enabled",
    ] {
        let here = muster_api::options::check(&[option.to_owned()]).is_ok();
        let there = new(json!({ "size": 1, "etcdOptions": [option] })).is_empty();
        assert_eq!(here, there, "{option}");
    }
}
