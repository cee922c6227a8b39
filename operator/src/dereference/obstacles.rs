//! The obstacles that keep wanted pods from running. Client required: Events are read only of objects that something
//! is wrong with and that do not say what.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use muster_api::Reason;
use muster_api::cluster::EtcdCluster;
use muster_api::names::Names;
use muster_api::workload::replicas;

use super::ClaimView;
use crate::conditions::{READY, previous};
use crate::error::{named, said};
use crate::obstacle::{Obstacle, event, pod};

#[cfg(test)]
mod tests;

/// Age at which a pod should have a volume and a sandbox.
const SET_UP: SignedDuration = SignedDuration::from_secs(4);
/// Longest wait for Events: without them a sentence is poorer, and nothing else.
const PATIENCE: Duration = Duration::from_secs(3);

/// The objects that the obstacles of a cluster are told from.
pub(super) struct Sight<'a> {
    pub(super) cluster: &'a EtcdCluster,
    pub(super) names: &'a Names,
    pub(super) set: &'a StatefulSet,
    pub(super) pods: &'a [Pod],
    pub(super) claims: &'a [ClaimView],
    pub(super) now: Timestamp,
}

/// Reads the obstacles of the seats that the StatefulSet and the EtcdCluster want, by seat.
pub(super) async fn read(client: &Client, namespace: &str, sight: &Sight<'_>) -> BTreeMap<u32, Obstacle> {
    let events = Events {
        api: Api::namespaced(client.clone(), namespace),
        cluster: named(sight.cluster),
    };
    let wanted = replicas(sight.set).min(sight.cluster.spec.size.max(0) as u32);
    let pod = |seat: u32| sight.pods.iter().find(|pod| pod.name_any() == sight.names.pod(seat));
    let missing = (0..wanted).any(|seat| pod(seat).is_none());
    let refusals = if missing {
        events.of(sight.set.uid()).await
    } else {
        Vec::new()
    };
    let (events, refusals) = (&events, &refusals);
    let found = join_all((0..wanted).map(|seat| async move {
        match pod(seat) {
            Some(pod) => sight.of_pod(events, seat, pod).await,
            None => event::not_created(refusals, &sight.names.pod(seat), sight.whole_until(), sight.now),
        }
    }));
    let found = (0..wanted).zip(found.await);
    found.filter_map(|(seat, obstacle)| Some((seat, obstacle?))).collect()
}

impl Sight<'_> {
    async fn of_pod(&self, events: &Events, seat: u32, pod: &Pod) -> Option<Obstacle> {
        if pod.metadata.deletion_timestamp.is_some() || pod::is_ready(pod) {
            return None;
        }
        let told = pod::obstacle(pod, self.now);
        match &told {
            Some(image) if pod::lacks_cause(image) => {
                return event::not_pulled(&events.of(pod.uid()).await).or(told);
            }
            Some(other) if other.reason != Reason::Unschedulable => return told,
            None if !pod::waits(pod) || self.is_new(pod) => return None,
            _ => {}
        }
        let being_set_up = pod::is_being_set_up(pod);
        if being_set_up {
            // Without its volume a pod gets no node, and the scheduler does not know why it has none.
            let obstacle = self.unprovisioned(events, seat).await.or(told);
            if obstacle.is_some() {
                return obstacle;
            }
        }
        let events = events.of(pod.uid()).await;
        let not_set_up = || event::not_set_up(&events, self.now).filter(|_| being_set_up);
        event::not_pulled(&events).or_else(not_set_up)
    }

    async fn unprovisioned(&self, events: &Events, seat: u32) -> Option<Obstacle> {
        let claim = self.claims.iter().find(|claim| claim.seat == seat && !claim.bound)?;
        let events = events.of(Some(claim.uid.clone())).await;
        event::not_provisioned(&events, &claim.name, self.now)
    }

    fn is_new(&self, pod: &Pod) -> bool {
        let created = pod.creation_timestamp();
        created.is_some_and(|created| self.now.duration_since(created.0) < SET_UP)
    }

    /// The time at which the cluster was whole last, as far as its status tells.
    fn whole_until(&self) -> Option<Timestamp> {
        let ready = previous(self.cluster, READY)?;
        Some(match ready.status.as_str() {
            "True" => self.now,
            _ => ready.last_transition_time.0,
        })
    }
}

/// The Events of the cluster's namespace.
struct Events {
    api: Api<Event>,
    /// The cluster's name, for logs.
    cluster: String,
}

impl Events {
    /// Reads the Events of an object. One of progress ends what an earlier one tells of, so all types are read.
    async fn of(&self, uid: Option<String>) -> Vec<Event> {
        let Some(uid) = uid else { return Vec::new() };
        let of_object = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        let problem = match tokio::time::timeout(PATIENCE, self.api.list(&of_object)).await {
            Ok(Ok(events)) => return events.items,
            Ok(Err(error)) => said(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::debug!(cluster = self.cluster, problem, "Events cannot be read");
        Vec::new()
    }
}
