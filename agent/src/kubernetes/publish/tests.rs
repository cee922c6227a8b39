use hyper::Response;
use kube::client::Body;

use super::*;
use crate::kubernetes::mock_api::{Server, config, pair};

fn view(leader: &str) -> Option<LeaderView> {
    Some(LeaderView {
        cluster_id: HexId(1),
        leader: leader.into(),
        members: vec![],
    })
}

fn publisher() -> (Publisher, Server) {
    let (client, server) = pair();
    let (keep, cluster) = watch::channel(Some("c".to_owned()));
    // The agent keeps it as long as it lives.
    std::mem::forget(keep);
    (Publisher::start(&Kubernetes::new(client, &config()), cluster), server)
}

/// Lets the next write succeed; says which leader it names and when it came, if one comes.
async fn written(server: &mut Server) -> Option<(String, Instant)> {
    let (request, send) = tokio::time::timeout(AGAIN * 10, server.next_request()).await.ok()??;
    let body = request.into_body().collect_bytes().await.unwrap();
    let patch: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let answer = serde_json::json!({
        "apiVersion": "etcd.etcd.io/v1alpha1", "kind": "EtcdCluster", "metadata": {"name": "c"}, "spec": {"size": 1},
    });
    send.send_response(Response::new(Body::from(answer.to_string().into_bytes())));
    Some((patch["status"]["leader"].as_str()?.to_owned(), Instant::now()))
}

#[tokio::test(start_paused = true)]
async fn the_members_are_written_once_more_and_then_not_again() {
    let (publisher, mut server) = publisher();
    publisher.leader.send_replace(view("c-0"));
    let (_, first) = written(&mut server).await.unwrap();
    let (leader, second) = written(&mut server).await.unwrap();
    assert_eq!((leader.as_str(), second - first), ("c-0", AGAIN));
    assert_eq!(written(&mut server).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_change_begins_anew_and_who_leads_no_more_is_silent() {
    let (publisher, mut server) = publisher();
    publisher.leader.send_replace(view("c-0"));
    let (_, first) = written(&mut server).await.unwrap();
    tokio::time::sleep(AGAIN / 2).await;
    publisher.leader.send_replace(view("other"));
    let (leader, _) = written(&mut server).await.unwrap();
    assert_eq!(leader, "other");
    let (leader, last) = written(&mut server).await.unwrap();
    assert_eq!((leader.as_str(), last - first), ("other", AGAIN / 2 + AGAIN));
    publisher.leader.send_replace(view("c-0"));
    written(&mut server).await.unwrap();
    publisher.leader.send_replace(None);
    assert_eq!(written(&mut server).await, None);
}
