//! Sends Events. They are for people: one that cannot be sent changes nothing. Client required.

use kube::runtime::events::{Event, Recorder, Reporter};
use kube::{Client, Resource};
use muster_api::cluster::EtcdCluster;

use crate::error::said;

/// Sends Events in the operator's name.
#[derive(Clone)]
pub(crate) struct EventRecorder {
    client: Client,
    reporter: Reporter,
}

impl EventRecorder {
    /// A recorder for the operator called `identity`.
    pub(crate) fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter {
            controller: "muster-operator".into(),
            instance: Some(identity.to_owned()),
        };
        Self { client, reporter }
    }

    /// Sends Events about a cluster.
    pub(crate) async fn publish(&self, cluster: &EtcdCluster, events: &[Event]) {
        // A recorder that is kept counts a reason that repeats, and drops what the next one says: the
        // second mistake in a spec, the second pod that is replaced. Only changes come here anyway.
        let recorder = || Recorder::new(self.client.clone(), self.reporter.clone());
        for event in events {
            if let Err(error) = recorder().publish(event, &cluster.object_ref(&())).await {
                tracing::debug!(error = said(&error), "cannot publish an event");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::{Method, Request, Response};
    use kube::client::Body;
    use kube::runtime::events::EventType;
    use muster_api::cluster::EtcdClusterSpec;

    use super::*;
    use crate::events::event;
    use muster_api::Reason;

    #[tokio::test]
    async fn each_event_says_its_own_sentence() {
        let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let publisher = EventRecorder::new(Client::new(service, "ns"), "me");
        let cluster = EtcdCluster::new("db", EtcdClusterSpec::of_size(1));
        let events = ["size 12", "size 13"].map(|note| event(EventType::Warning, Reason::InvalidSpec, note));
        let sending = publisher.publish(&cluster, &events);
        let answering = async {
            let mut notes = Vec::new();
            for _ in 0..2 {
                let (request, send) = server.next_request().await.unwrap();
                assert_eq!(request.method(), Method::POST);
                let body = request.into_body().collect_bytes().await.unwrap();
                let sent: serde_json::Value = serde_json::from_slice(&body).unwrap();
                notes.push(sent["note"].as_str().unwrap().to_owned());
                send.send_response(Response::new(Body::from(body.to_vec())));
            }
            notes
        };
        let ((), notes) = tokio::join!(sending, answering);
        assert_eq!(notes, ["size 12", "size 13"]);
    }
}
