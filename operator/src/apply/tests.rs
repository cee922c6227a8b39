//! Applying a StatefulSet, against an API server that answers from a script.

use hyper::{Method, Request, Response};
use kube::client::Body;
use serde_json::Value;

use super::*;

fn set(shrink: Option<&str>) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": "db", "namespace": "ns", "resourceVersion": "7",
            "annotations": shrink.map(|shrink| json!({ SHRINK: shrink })) },
        "spec": { "replicas": 3, "selector": {}, "serviceName": "db-peer", "template": {} },
    })
}

/// Applies a set to an API server that has this one; returns what was sent after the first request.
async fn sent_after_applying(wanted: Value, live: Value) -> Option<Value> {
    let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let client = Client::new(service, "ns");
    let target = Target {
        client: &client,
        namespace: "ns",
        owner_uid: "u",
    };
    let wanted: StatefulSet = serde_json::from_value(wanted).unwrap();
    let answering = async {
        let (_, send) = server.next_request().await.unwrap();
        send.send_response(Response::new(Body::from(live.to_string().into_bytes())));
        let (request, send) = server.next_request().await?;
        assert_eq!(request.method(), Method::PATCH);
        let body = request.into_body().collect_bytes().await.unwrap();
        send.send_response(Response::new(Body::from(set(None).to_string().into_bytes())));
        Some(serde_json::from_slice(&body).unwrap())
    };
    tokio::select! {
        sent = answering => sent,
        applied = target.apply_set(&wanted) => applied.map(|_| None).unwrap(),
    }
}

#[tokio::test]
async fn a_shrink_that_somebody_else_announced_is_withdrawn() {
    let sent = sent_after_applying(set(None), set(Some("3->1"))).await.unwrap();
    assert_eq!(
        sent["metadata"]["annotations"],
        json!({ SHRINK: null, SHRINK_GENERATION: null })
    );
    assert_eq!(sent["metadata"]["resourceVersion"], "7");
}

#[tokio::test]
async fn a_shrink_that_is_wanted_stays() {
    let shrinking = || set(Some("3->1"));
    assert_eq!(sent_after_applying(shrinking(), shrinking()).await, None);
    assert_eq!(sent_after_applying(set(None), set(None)).await, None);
}
