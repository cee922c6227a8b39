use hyper::Response;
use kube::client::Body;
use muster_api::birth::BirthRecord;

use super::*;
use crate::kubernetes::mock_api::{config, pair};

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_is_given_up() {
    let (client, mut server) = pair();
    let store = BirthStore::new(Kubernetes::new(client, &config()));
    let mute = tokio::spawn(async move {
        let (_, read) = server.next_request().await.unwrap();
        let object = ConfigMap {
            data: Some(BirthRecord::unclaimed("", true).to_data()),
            ..ConfigMap::default()
        };
        read.send_response(Response::new(Body::from(serde_json::to_vec(&object).unwrap())));
        let held = server.next_request().await.unwrap();
        std::future::pending::<()>().await;
        drop(held);
    });
    store.read().await.unwrap();
    let claimed = store.claim("t", Seat(0), "v", ClusterId(1)).await;
    assert!(matches!(claimed, Err(BirthFailure::Silent)), "{claimed:?}");
    mute.abort();
}
