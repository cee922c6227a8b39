//! Which Events are read, and what becomes of them, against an API server that answers from a table.

use std::sync::Mutex;

use hyper::{Request, Response, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::client::Body;
use muster_api::cluster::EtcdClusterSpec;
use muster_api::status::EtcdClusterStatus;
use serde_json::{Value, json};

use super::*;
use crate::conditions::Finding;

const NOW: &str = "2026-11-27T12:00:00Z";

/// A cluster `q` of one seat, with a claim that is bound and no pod.
struct Bench {
    cluster: EtcdCluster,
    pods: Vec<Pod>,
    claims: Vec<ClaimView>,
    /// The Events by the UID of their object; none if the API server refuses to list them.
    events: Option<BTreeMap<&'static str, Vec<Value>>>,
}

fn bench() -> Bench {
    let mut cluster = EtcdCluster::new("q", EtcdClusterSpec::of_size(1));
    cluster.metadata.namespace = Some("ns".into());
    let claim = ClaimView {
        name: "data-q-0".into(),
        uid: "claim".into(),
        bound: true,
        ..ClaimView::default()
    };
    Bench {
        cluster,
        pods: Vec::new(),
        claims: vec![claim],
        events: Some(BTreeMap::new()),
    }
}

impl Bench {
    fn with_pod(mut self, created: &str, status: Value) -> Self {
        let metadata = json!({ "name": "q-0", "uid": "pod", "creationTimestamp": created });
        self.pods = vec![serde_json::from_value(json!({ "metadata": metadata, "status": status })).unwrap()];
        self
    }

    fn with_event(mut self, uid: &'static str, reason: &str, message: &str) -> Self {
        let event = json!({ "metadata": { "name": "e", "namespace": "ns" }, "involvedObject": {}, "type": "Warning",
            "reason": reason, "message": message,
            "firstTimestamp": "2026-11-27T11:59:30Z", "lastTimestamp": "2026-11-27T11:59:50Z" });
        self.events.get_or_insert_default().entry(uid).or_default().push(event);
        self
    }

    /// Returns the obstacle of seat 0, and the UIDs of the objects whose Events were read.
    async fn look(&self) -> (Option<Obstacle>, Vec<String>) {
        let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "ns");
        let asked = Mutex::new(Vec::new());
        let answering = async {
            while let Some((request, send)) = server.next_request().await {
                let query = request.uri().query().unwrap_or_default();
                let uid = query.rsplit("involvedObject.uid%3D").next().unwrap_or_default();
                send.send_response(self.answer(uid));
                asked.lock().unwrap().push(uid.to_owned());
            }
        };
        let set = json!({ "metadata": { "name": "q", "uid": "set" }, "spec": { "replicas": 1, "selector": {}, "template": {} } });
        let sight = Sight {
            cluster: &self.cluster,
            names: &Names::new("q"),
            set: &serde_json::from_value(set).unwrap(),
            pods: &self.pods,
            claims: &self.claims,
            now: NOW.parse().unwrap(),
        };
        let mut found = tokio::select! {
            found = read(&client, "ns", &sight) => found,
            () = answering => panic!("the client is gone"),
        };
        (found.remove(&0), asked.into_inner().unwrap())
    }

    fn answer(&self, uid: &str) -> Response<Body> {
        let (code, body) = match &self.events {
            Some(events) => {
                let items = events.get(uid).cloned().unwrap_or_default();
                (StatusCode::OK, json!({ "metadata": {}, "items": items }))
            }
            None => (
                StatusCode::FORBIDDEN,
                json!({ "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no" }),
            ),
        };
        let mut response = Response::new(Body::from(body.to_string().into_bytes()));
        *response.status_mut() = code;
        response
    }
}

fn creating() -> Value {
    json!({ "conditions": [{ "type": "PodScheduled", "status": "True" }], "containerStatuses": [{ "name": "etcd",
        "ready": false, "restartCount": 0, "image": "", "imageID": "",
        "state": { "waiting": { "reason": "PodInitializing" } } }] })
}

fn unschedulable() -> Value {
    json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available", "lastTransitionTime": "2026-11-27T11:59:00Z" }] })
}

const REFUSED: &str = "create Pod q-0 in StatefulSet q failed error: pods \"q-0\" is forbidden";

#[tokio::test]
async fn a_pod_that_is_missing_is_asked_for_at_its_stateful_set() {
    let (obstacle, asked) = bench().with_event("set", "FailedCreate", REFUSED).look().await;
    assert_eq!(obstacle.unwrap().reason, Reason::FailedCreate);
    assert_eq!(asked, ["set"]);
}

#[tokio::test]
async fn a_refusal_of_before_the_cluster_was_whole_does_not_count() {
    let since = |holds: bool, since: &str| {
        let mut bench = bench().with_event("set", "FailedCreate", REFUSED);
        let since = Time(since.parse().unwrap());
        let ready = Finding::new(READY, holds, Reason::MembersReady, "").condition(&bench.cluster, &since);
        bench.cluster.status = Some(EtcdClusterStatus {
            conditions: vec![ready],
            ..EtcdClusterStatus::default()
        });
        bench
    };
    let whole = since(true, "2026-11-27T11:00:00Z").look().await;
    assert_eq!(whole.0, None, "the status does not know yet that the pod is gone");
    assert!(since(false, "2026-11-27T11:59:40Z").look().await.0.is_some());
    assert_eq!(since(false, "2026-11-27T11:59:58Z").look().await.0, None);
}

#[tokio::test]
async fn events_that_may_not_be_read_cost_words_and_nothing_else() {
    let mut bench = bench().with_pod("2026-11-27T11:50:00Z", unschedulable());
    bench.claims[0].bound = false;
    bench.events = None;
    let (obstacle, asked) = bench.look().await;
    assert_eq!(obstacle.unwrap().reason, Reason::Unschedulable);
    assert_eq!(asked, ["claim"]);
    bench.pods.clear();
    assert_eq!(bench.look().await.0, None);
}

#[tokio::test]
async fn a_claim_without_volume_comes_before_the_scheduler_which_does_not_know_why() {
    let words = "storageclass.storage.k8s.io \"nosuch\" not found";
    let mut bench =
        bench()
            .with_pod("2026-11-27T11:50:00Z", unschedulable())
            .with_event("claim", "ProvisioningFailed", words);
    let (obstacle, asked) = bench.look().await;
    assert_eq!((obstacle.unwrap().reason, asked.len()), (Reason::Unschedulable, 0));
    bench.claims[0].bound = false;
    assert_eq!(bench.look().await.0.unwrap().reason, Reason::ProvisioningFailed);
}

#[tokio::test]
async fn a_pod_that_should_have_its_volumes_by_now_is_asked_for() {
    let mount = |created: &str| {
        let bench = bench().with_pod(created, creating());
        bench.with_event("pod", "FailedMount", "MountVolume.SetUp failed")
    };
    let (obstacle, asked) = mount("2026-11-27T11:59:00Z").look().await;
    assert_eq!(
        (obstacle.unwrap().reason, asked),
        (Reason::FailedMount, vec!["pod".to_owned()])
    );
    let (obstacle, asked) = mount("2026-11-27T11:59:58Z").look().await;
    assert_eq!((obstacle, asked.len()), (None, 0), "it is new");
}

#[tokio::test]
async fn an_image_is_asked_for_while_the_kubelet_has_not_written_that_it_cannot_be_pulled() {
    let mut status = creating();
    status["initContainerStatuses"] = json!([{ "name": "agent", "ready": true, "restartCount": 0, "image": "",
        "imageID": "", "state": { "running": {} } }]);
    let mut bench = bench().with_pod("2026-11-27T11:59:00Z", status).with_event(
        "pod",
        "Failed",
        "Failed to pull image \"no/such:1\": connection refused",
    );
    let events = bench.events.as_mut().unwrap().get_mut("pod").unwrap();
    events[0]["involvedObject"] = json!({ "fieldPath": "spec.containers{etcd}" });
    let (obstacle, asked) = bench.look().await;
    assert_eq!(obstacle.unwrap().reason, Reason::ImagePullBackOff);
    assert_eq!(asked, ["pod"]);
}

#[tokio::test]
async fn nothing_is_read_of_pods_that_are_ready_or_tell_all_themselves() {
    let ready = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
    let mut pulls = creating();
    pulls["containerStatuses"][0]["state"] = json!({ "waiting": { "reason": "ErrImagePull", "message": "not found" } });
    for (status, told) in [(ready, false), (pulls, true)] {
        let (obstacle, asked) = bench().with_pod("2026-11-27T11:00:00Z", status).look().await;
        assert_eq!((obstacle.is_some(), asked.len()), (told, 0));
    }
}
