use hyper::Response;
use kube::client::Body;

use super::*;
use crate::kubernetes::mock_api::{Server, config, pair};

fn news(reason: &'static str, seat: u32) -> News {
    News {
        warning: true,
        reason,
        note: "for a reason".into(),
        seat: muster_membership::Seat(seat),
        member: None,
    }
}

/// A writer, and the API server that it writes to.
fn writer(subject: Option<ObjectReference>) -> (EventWriter, Server) {
    let (client, server) = pair();
    let (keep, subject) = watch::channel(subject);
    // The agent keeps it as long as it lives.
    std::mem::forget(keep);
    (EventWriter::start(client, &config(), subject), server)
}

/// Answers the next request, and tells what was sent.
async fn answer(server: &mut Server, code: u16) -> serde_json::Value {
    let (request, send) = server.next_request().await.unwrap();
    assert_eq!(request.uri().path(), "/apis/events.k8s.io/v1/namespaces/ns/events");
    let body = request.into_body().collect_bytes().await.unwrap();
    let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let text = if code == 201 {
        event.to_string()
    } else {
        serde_json::json!({"status": "Failure", "reason": "x", "message": "no", "code": code}).to_string()
    };
    let response = Response::builder().status(code).body(Body::from(text.into_bytes()));
    send.send_response(response.unwrap());
    event
}

fn cluster() -> ObjectReference {
    ObjectReference {
        api_version: Some("etcd.etcd.io/v1alpha1".into()),
        kind: Some("EtcdCluster".into()),
        name: Some("c".into()),
        namespace: Some("ns".into()),
        uid: Some("e".into()),
        ..ObjectReference::default()
    }
}

#[tokio::test]
async fn an_event_is_about_the_cluster_and_names_the_pod() {
    let (writer, mut server) = writer(Some(cluster()));
    writer.tell(news("MemberRemoved", 3));
    let event = answer(&mut server, 201).await;
    assert_eq!(event["regarding"]["kind"], "EtcdCluster");
    assert_eq!(event["regarding"]["uid"], "e");
    assert_eq!(event["related"]["name"], "c-3");
    assert_eq!(event["note"], "c-3: for a reason");
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["reportingInstance"], "c-0");
}

#[tokio::test]
async fn the_same_of_another_member_is_another_event() {
    let (writer, mut server) = writer(Some(cluster()));
    for note in ["member 1", "member 2"] {
        let news = News {
            note: note.into(),
            ..news("MemberRemoved", 3)
        };
        writer.tell(news);
        assert_eq!(answer(&mut server, 201).await["note"], format!("c-3: {note}"));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_stateful_set_it_is_about_the_pod() {
    let (writer, mut server) = writer(None);
    writer.tell(news("Refused", 0));
    let event = answer(&mut server, 201).await;
    assert_eq!(
        (&event["regarding"]["kind"], &event["regarding"]["uid"]),
        (&"Pod".into(), &"p".into())
    );
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_and_then_dropped_and_the_next_goes_on() {
    let (writer, mut server) = writer(Some(cluster()));
    writer.tell(news("Joining", 0));
    writer.tell(news("Promoted", 0));
    for _ in 0..=PAUSES.len() {
        assert_eq!(answer(&mut server, 500).await["reason"], "Joining");
    }
    assert_eq!(answer(&mut server, 201).await["reason"], "Promoted");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_api_server_that_does_not_answer() {
    let (writer, _server) = writer(Some(cluster()));
    // Far more than the queue holds: telling is not even asynchronous.
    for _ in 0..QUEUE * 4 {
        writer.tell(news("Refused", 0));
    }
}
