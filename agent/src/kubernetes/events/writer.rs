//! Writing of Events: about the EtcdCluster, or the StatefulSet where there is none. Nothing waits for
//! them, and nothing depends on their arrival.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::{mpsc, watch};

use super::SeatEvent;
use crate::config::Config;

/// Events that may wait; more are dropped.
const QUEUE: usize = 32;
/// Time that the object gets which Events are about to become known; after it, they are about the pod.
const SUBJECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that one attempt gets.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts after the first, 0.5, 2 and 8 s after the one before; then the Event is dropped.
const RETRIES: usize = 3;

/// Sends Events, in the background.
#[derive(Debug, Clone)]
pub(crate) struct EventWriter {
    queue: mpsc::Sender<SeatEvent>,
}

impl EventWriter {
    /// Starts a writer of Events about `subject`, as soon as that is known.
    #[must_use]
    pub(crate) fn start(
        client: kube::Client,
        config: &Config,
        subject: watch::Receiver<Option<ObjectReference>>,
    ) -> Self {
        let (queue, events) = mpsc::channel(QUEUE);
        let reporter = Reporter {
            controller: "muster-agent".into(),
            instance: Some(config.pod.clone()),
        };
        // A recorder that is kept counts a reason that repeats, and drops what the next one says.
        let recorder = move || Recorder::new(client.clone(), reporter.clone());
        tokio::spawn(write(recorder, config.clone(), subject, events));
        Self { queue }
    }

    /// Queues an Event, or drops it if too many wait.
    pub(crate) fn send(&self, event: SeatEvent) {
        if let Err(error) = self.queue.try_send(event) {
            tracing::debug!(%error, "an Event is dropped");
        }
    }
}

async fn write(
    recorder: impl Fn() -> Recorder,
    config: Config,
    mut subject: watch::Receiver<Option<ObjectReference>>,
    mut queue: mpsc::Receiver<SeatEvent>,
) {
    let pauses = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(500))
        .with_factor(4.0)
        .with_max_times(RETRIES);
    while let Some(seat_event) = queue.recv().await {
        let known = tokio::time::timeout(SUBJECT_TIMEOUT, subject.wait_for(Option::is_some)).await;
        let known = known.ok().and_then(Result::ok).and_then(|subject| subject.clone());
        let about = known.unwrap_or_else(|| own_pod(&config));
        let event = event(&config, &seat_event);
        let attempt = || async {
            let recorder = recorder();
            match tokio::time::timeout(ATTEMPT_TIMEOUT, recorder.publish(&event, &about)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(late) => Err(late.to_string()),
            }
        };
        if let Err(error) = attempt.retry(pauses).await {
            tracing::debug!(error, reason = seat_event.reason.name(), "an Event was not written");
        }
    }
}

fn own_pod(config: &Config) -> ObjectReference {
    ObjectReference {
        uid: Some(config.pod_uid.clone()),
        ..pod(config, &config.pod)
    }
}

fn pod(config: &Config, name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: Some(name.to_owned()),
        namespace: Some(config.namespace.clone()),
        ..ObjectReference::default()
    }
}

/// The Event in the API's form, with the seat's pod as the object that is related to it.
fn event(config: &Config, event: &SeatEvent) -> Event {
    let name = config.names().pod(event.seat.0);
    let related = if name == config.pod {
        own_pod(config)
    } else {
        pod(config, &name)
    };
    let note = muster_api::event_note(&format!("{name}: {}", event.note));
    Event {
        type_: if event.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: event.reason.name().to_owned(),
        note: Some(note),
        action: "Membership".to_owned(),
        secondary: Some(related),
    }
}

#[cfg(test)]
mod tests {
    use hyper::Response;
    use kube::client::Body;
    use muster_membership::Reason;

    use super::*;
    use crate::kubernetes::mock_api::{MockApi, config, pair};

    fn of(reason: Reason, seat: u32) -> SeatEvent {
        SeatEvent {
            warning: true,
            reason,
            note: "for a reason".into(),
            seat: muster_membership::Seat(seat),
            member: None,
        }
    }

    /// A writer, and the API server that it writes to.
    fn writer(subject: Option<ObjectReference>) -> (EventWriter, MockApi) {
        let (client, server) = pair();
        let (keep, subject) = watch::channel(subject);
        // The agent keeps it as long as it lives.
        std::mem::forget(keep);
        (EventWriter::start(client, &config(), subject), server)
    }

    /// Answers the next request, and returns what was sent.
    async fn answer(server: &mut MockApi, code: u16) -> serde_json::Value {
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
        writer.send(of(Reason::MemberRemoved, 3));
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
            let event = SeatEvent {
                note: note.into(),
                ..of(Reason::MemberRemoved, 3)
            };
            writer.send(event);
            assert_eq!(answer(&mut server, 201).await["note"], format!("c-3: {note}"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_stateful_set_it_is_about_the_pod() {
        let (writer, mut server) = writer(None);
        writer.send(of(Reason::Refused, 0));
        let event = answer(&mut server, 201).await;
        assert_eq!(
            (&event["regarding"]["kind"], &event["regarding"]["uid"]),
            (&"Pod".into(), &"p".into())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_and_then_dropped_and_the_next_goes_on() {
        let (writer, mut server) = writer(Some(cluster()));
        writer.send(of(Reason::Joining, 0));
        writer.send(of(Reason::Promoted, 0));
        for _ in 0..=RETRIES {
            assert_eq!(answer(&mut server, 500).await["reason"], "Joining");
        }
        assert_eq!(answer(&mut server, 201).await["reason"], "Promoted");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_an_api_server_that_does_not_answer() {
        let (writer, _server) = writer(Some(cluster()));
        // Far more than the queue holds: sending is not even asynchronous.
        for _ in 0..QUEUE * 4 {
            writer.send(of(Reason::Refused, 0));
        }
    }
}
