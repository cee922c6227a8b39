//! Writing Events: about the EtcdCluster, or the StatefulSet where there is none. Nothing waits for
//! them, and nothing depends on their arrival.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::kubernetes::events::log::News;

/// How many Events may wait; more are dropped.
const QUEUE: usize = 32;
/// How long to wait for the object that Events are about to become known. After that it is the pod.
const SUBJECT: Duration = Duration::from_secs(10);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The pauses between attempts. After the last, the Event is dropped.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(8),
];

/// Sends Events, in the background.
#[derive(Debug, Clone)]
pub struct EventWriter {
    queue: mpsc::Sender<News>,
}

impl EventWriter {
    /// Starts a writer of Events about `subject`, as soon as that is known.
    #[must_use]
    pub fn start(client: kube::Client, config: &Config, subject: watch::Receiver<Option<ObjectReference>>) -> Self {
        let (queue, news) = mpsc::channel(QUEUE);
        let reporter = Reporter {
            controller: "muster-agent".into(),
            instance: Some(config.pod.clone()),
        };
        // A recorder that is kept counts a reason that repeats, and drops what the next one says.
        let recorder = move || Recorder::new(client.clone(), reporter.clone());
        tokio::spawn(write(recorder, config.clone(), subject, news));
        Self { queue }
    }

    /// Queues an Event, or drops it if too many wait.
    pub fn tell(&self, news: News) {
        if let Err(error) = self.queue.try_send(news) {
            tracing::debug!(%error, "an Event is dropped");
        }
    }
}

async fn write(
    recorder: impl Fn() -> Recorder,
    config: Config,
    mut subject: watch::Receiver<Option<ObjectReference>>,
    mut queue: mpsc::Receiver<News>,
) {
    while let Some(news) = queue.recv().await {
        let known = tokio::time::timeout(SUBJECT, subject.wait_for(Option::is_some)).await;
        let known = known.ok().and_then(Result::ok).and_then(|subject| subject.clone());
        let about = known.unwrap_or_else(|| own_pod(&config));
        let event = event(&config, &news);
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match tokio::time::timeout(ATTEMPT, recorder().publish(&event, &about)).await {
                Ok(Ok(())) => break,
                Ok(Err(error)) => error.to_string(),
                Err(late) => late.to_string(),
            };
            tracing::debug!(error, reason = news.reason, "an Event was not written");
            let Some(pause) = pauses.next() else { break };
            tokio::time::sleep(pause).await;
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

/// The Event for `news`, with its pod as the object that is related to it.
fn event(config: &Config, news: &News) -> Event {
    let name = config.names().pod(news.seat.0);
    let related = if name == config.pod {
        own_pod(config)
    } else {
        pod(config, &name)
    };
    let note = muster_api::event_note(&format!("{name}: {}", news.note));
    Event {
        type_: if news.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: news.reason.to_owned(),
        note: Some(note),
        action: "Membership".to_owned(),
        secondary: Some(related),
    }
}

#[cfg(test)]
mod tests;
