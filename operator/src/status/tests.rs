//! Statuses of reconciliations that did not reach their end, and the fields of other writers.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::CustomResourceExt;
use muster_api::cluster::EtcdClusterSpec;
use serde_json::json;

use super::*;
use crate::dereference::PodView;

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

fn observed() -> ObservedCluster {
    let pod = |seat: u32| PodView {
        name: format!("db-{seat}"),
        seat,
        uid: "u".into(),
        ready: true,
        terminating: false,
        revision: None,
        ..PodView::default()
    };
    let mut cluster = EtcdCluster::new("db", EtcdClusterSpec::of_size(3));
    cluster.metadata.generation = Some(4);
    let set = serde_json::from_value(
        json!({ "metadata": { "name": "db" }, "spec": { "replicas": 3, "selector": {}, "template": {} } }),
    );
    ObservedCluster {
        cluster,
        set: Some(set.unwrap()),
        record: None,
        pods: (0..3).map(pod).collect(),
        claims: Vec::new(),
        revision: None,
        obstacles: BTreeMap::new(),
    }
}

fn invalid() -> Outcome<'static> {
    Outcome::Stalled(Blocker {
        summary: Summary::Invalid,
        reason: Reason::InvalidSpec,
        message: "size 12 is out of range".into(),
    })
}

#[test]
fn ready_pods_never_outnumber_pods() {
    let mut observed = observed();
    observed.pods[2].terminating = true;
    let status = render(&observed, &invalid(), &at(0));
    assert_eq!((status.replicas, status.ready_replicas), (Some(3), Some(2)));
}

#[test]
fn pods_above_the_replicas_are_not_ready_any_more() {
    let mut observed = observed();
    observed.set.as_mut().unwrap().spec.as_mut().unwrap().replicas = Some(1);
    let status = render(&observed, &invalid(), &at(0));
    assert_eq!((status.replicas, status.ready_replicas), (Some(3), Some(1)));
}

#[test]
fn a_stalled_reconciliation_says_why_and_for_which_generation() {
    let status = render(&observed(), &invalid(), &at(0));
    let stalled = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == STALLED)
        .unwrap();
    assert_eq!(
        (stalled.status.as_str(), stalled.reason.as_str()),
        ("True", "InvalidSpec")
    );
    assert_eq!(stalled.observed_generation, Some(4));
    assert_eq!(stalled.message, "Size 12 is out of range.");
}

#[test]
fn waiting_for_something_to_go_is_progress_and_not_a_failure() {
    let blocker = Blocker {
        summary: Summary::Waiting,
        reason: Reason::WaitingForDeletion,
        message: "it goes.".into(),
    };
    let status = render(&observed(), &Outcome::Waiting(blocker), &at(0));
    let told = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
    assert_eq!(told(PROGRESSING).unwrap().status, "True");
    assert_eq!(told(PROGRESSING).unwrap().message, "It goes.");
    assert_eq!(told(STALLED), None);
}

#[test]
fn a_condition_keeps_the_time_of_its_last_transition() {
    let mut observed = observed();
    observed.cluster.status = Some(render(&observed, &invalid(), &at(1)));
    let again = render(&observed, &invalid(), &at(2));
    assert!(is_current(&observed.cluster, &again));
    assert!(
        again
            .conditions
            .iter()
            .all(|condition| condition.last_transition_time == at(1))
    );
}

#[test]
fn a_status_that_says_something_else_is_written() {
    let mut observed = observed();
    assert!(!is_current(&observed.cluster, &render(&observed, &invalid(), &at(1))));
    observed.cluster.status = Some(render(&observed, &invalid(), &at(1)));
    observed.pods.pop();
    assert!(!is_current(&observed.cluster, &render(&observed, &invalid(), &at(1))));
}

#[test]
fn the_operator_leaves_the_agents_fields_alone() {
    let fields = serde_json::to_value(render(&observed(), &invalid(), &at(0))).unwrap();
    for field in ["clusterID", "leader", "members", "seats"] {
        assert!(fields.get(field).is_none(), "{field}");
    }
}

#[test]
fn the_definition_lists_every_summary() {
    let crd = serde_json::to_value(EtcdCluster::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let text = schema["properties"]["status"]["properties"]["summary"]["description"]
        .as_str()
        .unwrap();
    let listed: Vec<&str> = text.split(|letter: char| !letter.is_ascii_alphabetic()).collect();
    for summary in Summary::ALL {
        assert!(listed.contains(&summary.name()), "{}", summary.name());
    }
}
