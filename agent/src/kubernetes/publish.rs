//! Publishing to the EtcdCluster's status: each agent its own seat, the leader's agent the members.
//! Only changes are sent; nothing depends on their arrival.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use muster_api::HexId;
use muster_api::names::{LEADER_MANAGER, agent_manager};
use muster_api::status::{MemberStatus, SeatStatus};
use muster_membership::timing;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Kubernetes;

/// How long a write may take; the operator waits for what is published.
const WRITE: Duration = Duration::from_secs(5);
/// When the members are written once more, in case that an agent whose etcd had lost the lead wrote after this one
/// in the belief that it still leads: it learns of it before, as its own etcd's word counts for five seconds.
const AGAIN: Duration = Duration::from_secs(15);
const _: () =
    assert!(AGAIN.as_millis() >= timing::FRESHNESS.as_millis() + timing::READ_TIMEOUT.as_millis() + WRITE.as_millis());

/// What the leader's agent publishes.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaderView {
    /// The cluster.
    pub cluster_id: HexId,
    /// The leader's pod.
    pub leader: String,
    /// The members.
    pub members: Vec<MemberStatus>,
}

/// Sends what is to be published whenever it changes.
#[derive(Debug)]
pub struct Publisher {
    /// This seat's entry.
    pub seat: watch::Sender<Option<SeatStatus>>,
    /// The members, while this agent is beside the leader.
    pub leader: watch::Sender<Option<LeaderView>>,
}

impl Publisher {
    /// Starts publishing to the EtcdCluster that `cluster` names.
    #[must_use]
    pub fn start(api: &Kubernetes, cluster: watch::Receiver<Option<String>>) -> Self {
        let (seat, seats) = watch::channel(None);
        let (leader, leaders) = watch::channel(None);
        let manager = agent_manager(&api.config.pod);
        tokio::spawn(publish(
            api.clone(),
            cluster.clone(),
            seats,
            manager,
            None,
            |seat: &SeatStatus| serde_json::json!({ "seats": [seat] }),
        ));
        tokio::spawn(publish(
            api.clone(),
            cluster,
            leaders,
            LEADER_MANAGER.into(),
            Some(AGAIN),
            |view: &LeaderView| serde_json::json!({ "clusterID": view.cluster_id, "leader": view.leader, "members": view.members }),
        ));
        Self { seat, leader }
    }
}

/// Sends each new value, and once more `again` later if it still holds.
async fn publish<T: Clone + PartialEq>(
    api: Kubernetes,
    mut cluster: watch::Receiver<Option<String>>,
    mut values: watch::Receiver<Option<T>>,
    manager: String,
    again: Option<Duration>,
    body: impl Fn(&T) -> serde_json::Value,
) {
    let mut sent: Option<(String, T)> = None;
    let mut pause = Duration::from_millis(250);
    let mut once_more: Option<Instant> = None;
    loop {
        let name = cluster.borrow_and_update().clone();
        let value = values.borrow_and_update().clone();
        let next = name.zip(value);
        let mut retry = false;
        let due = once_more.is_some_and(|at| at <= Instant::now());
        match &next {
            Some((name, value)) if due || next != sent => {
                let patch = serde_json::json!({
                    "apiVersion": "etcd.etcd.io/v1alpha1", "kind": "EtcdCluster", "status": body(value),
                });
                let params = PatchParams::apply(&manager).force();
                let patch = Patch::Apply(patch);
                let write = api.clusters.patch_status(name, &params, &patch);
                match tokio::time::timeout(WRITE, write).await {
                    Ok(Ok(_)) => {
                        once_more = again.filter(|_| next != sent).map(|later| Instant::now() + later);
                        sent.clone_from(&next);
                        pause = Duration::from_millis(250);
                    }
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "the status could not be published; it is tried again");
                        retry = true;
                    }
                    Err(_) => {
                        tracing::debug!("the API server did not answer; the status is published again");
                        retry = true;
                    }
                }
            }
            // Another agent may publish meanwhile: what was sent no longer stands.
            None => (sent, once_more) = (None, None),
            Some(_) => {}
        }
        let change = async {
            tokio::select! {
                changed = values.changed() => changed,
                changed = cluster.changed() => changed,
                () = sleep_until(once_more.unwrap_or_else(Instant::now)), if once_more.is_some() => Ok(()),
            }
        };
        if retry {
            _ = tokio::time::timeout(pause, change).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        } else if change.await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
