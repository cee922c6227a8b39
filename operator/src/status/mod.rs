//! The operator's part of an EtcdCluster's status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use muster_api::cluster::EtcdCluster;
use muster_api::names::{Names, OPERATOR_MANAGER};
use muster_api::status::{EtcdClusterStatus, SeatStatus};
use muster_api::workload::replicas;
use serde_json::json;

pub mod health;

use self::health::Evidence;
use crate::apply::Applied;
use crate::conditions::{
    DEGRADED, EVEN_SIZE, Finding, PROGRESSING, QUORUM_LOST, READY, STALLED, VERSION_ADVISORY, previous,
};
use crate::dereference::Observed;
use crate::error::Error;

/// How a reconciliation ended.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// Everything is as it was built.
    Applied(&'a Applied, Evidence<'a>),
    /// Nothing was touched yet: an object of the past has to go first.
    Waiting(Obstacle),
    /// Nothing was touched, or something could not be.
    Stalled(Obstacle),
}

/// What keeps a reconciliation from its end.
#[derive(Debug)]
pub struct Obstacle {
    /// A word for people.
    pub summary: &'static str,
    /// A word for machines.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// Conditions that a stalled reconciliation leaves as they are.
const KEPT: &[&str] = &[DEGRADED, QUORUM_LOST, EVEN_SIZE, VERSION_ADVISORY];

/// Renders the operator's fields, and nothing of anybody else's.
pub fn render(observed: &Observed, outcome: &Outcome<'_>, now: &Time) -> EtcdClusterStatus {
    let cluster = &observed.cluster;
    let names = Names::new(cluster.name_any());
    let wanted = match outcome {
        Outcome::Applied(applied, _) => replicas(applied.set()),
        _ => observed.set.as_ref().map_or(0, replicas),
    };
    // Pods above the replicas are about to be deleted: they do not count even
    // before they are.
    let ready = observed
        .pods
        .iter()
        .filter(|pod| pod.ready && !pod.terminating && pod.seat < wanted)
        .count();
    let (summary, findings, version) = match outcome {
        Outcome::Applied(_, evidence) => {
            let verdict = health::judge(evidence);
            (
                verdict.summary,
                verdict.findings,
                Some(evidence.cluster.version.to_string()),
            )
        }
        Outcome::Waiting(obstacle) | Outcome::Stalled(obstacle) => {
            let version = cluster.status.as_ref().and_then(|status| status.version.clone());
            let stalled = matches!(outcome, Outcome::Stalled(_));
            (obstacle.summary, obstacle.findings(stalled), version)
        }
    };
    // Nothing new is known of the members when nothing was applied.
    let known: &[&str] = if matches!(outcome, Outcome::Applied(..)) {
        &[]
    } else {
        KEPT
    };
    let kept = known.iter().filter_map(|kind| previous(cluster, kind).cloned());
    let found = findings.into_iter().map(|finding| finding.condition(cluster, now));
    let mut conditions: Vec<_> = found.chain(kept).collect();
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    EtcdClusterStatus {
        observed_generation: cluster.metadata.generation,
        summary: Some(summary.to_owned()),
        conditions,
        replicas: Some(observed.pods.len() as i32),
        ready_replicas: Some(ready as i32),
        selector: Some(names.selector_text()),
        version,
        ..EtcdClusterStatus::default()
    }
}

impl Obstacle {
    fn findings(&self, stalled: bool) -> Vec<Finding> {
        let message = self.sentence();
        let mut findings = vec![
            Finding::new(READY, false, self.reason, message.clone()),
            Finding::new(PROGRESSING, !stalled, self.reason, message.clone()),
        ];
        if stalled {
            findings.push(Finding::new(STALLED, true, self.reason, message));
        }
        findings
    }

    /// Errors begin small and end without a full stop; sentences do not.
    fn sentence(&self) -> String {
        let mut letters = self.message.trim_end_matches('.').chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string());
        format!("{}{}.", first.unwrap_or_default(), letters.as_str())
    }
}

/// Whether the status that is stored already says the same.
pub fn is_current(cluster: &EtcdCluster, status: &EtcdClusterStatus) -> bool {
    let Some(stored) = &cluster.status else { return false };
    let mut stored_conditions = stored.conditions.clone();
    stored_conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    stored.observed_generation == status.observed_generation
        && stored.summary == status.summary
        && stored.replicas == status.replicas
        && stored.ready_replicas == status.ready_replicas
        && stored.selector == status.selector
        && stored.version == status.version
        && stored_conditions == status.conditions
}

/// Writes the operator's fields.
pub async fn write(client: &Client, cluster: &EtcdCluster, status: &EtcdClusterStatus) -> Result<(), Error> {
    let patch = json!({ "apiVersion": API_VERSION, "kind": "EtcdCluster", "status": status });
    apply(client, cluster, OPERATOR_MANAGER, &patch)
        .await
        .map_err(Error::writing("write the status"))?;
    Ok(())
}

/// Takes back what the agent of a pod that is gone has published, unless the
/// EtcdCluster has changed meanwhile.
pub async fn drop_seat(client: &Client, cluster: &EtcdCluster, seat: &SeatStatus) -> Result<EtcdCluster, Error> {
    let patch = json!({
        "apiVersion": API_VERSION,
        "kind": "EtcdCluster",
        "metadata": { "resourceVersion": cluster.resource_version() },
        "status": { "seats": [] },
    });
    let manager = muster_api::names::agent_manager(&seat.name);
    apply(client, cluster, &manager, &patch)
        .await
        .map_err(Error::writing(format!("drop the status of {}", seat.name)))
}

const API_VERSION: &str = "etcd.etcd.io/v1alpha1";

async fn apply(
    client: &Client,
    cluster: &EtcdCluster,
    manager: &str,
    patch: &serde_json::Value,
) -> kube::Result<EtcdCluster> {
    let namespace = cluster.namespace().unwrap_or_default();
    let api: Api<EtcdCluster> = Api::namespaced(client.clone(), &namespace);
    api.patch_status(
        &cluster.name_any(),
        &PatchParams::apply(manager).force(),
        &Patch::Apply(patch),
    )
    .await
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;
    use muster_api::cluster::EtcdClusterSpec;

    use super::*;
    use crate::dereference::PodView;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn observed() -> Observed {
        let pod = |seat: u32| PodView {
            name: format!("db-{seat}"),
            seat,
            uid: "u".into(),
            ready: true,
            terminating: false,
            revision: None,
        };
        let mut cluster = EtcdCluster::new("db", EtcdClusterSpec::of_size(3));
        cluster.metadata.generation = Some(4);
        let set = serde_json::from_value(
            json!({ "metadata": { "name": "db" }, "spec": { "replicas": 3, "selector": {}, "template": {} } }),
        );
        Observed {
            cluster,
            set: Some(set.unwrap()),
            record: None,
            pods: (0..3).map(pod).collect(),
            claims: Vec::new(),
            revision: None,
        }
    }

    fn invalid() -> Outcome<'static> {
        Outcome::Stalled(Obstacle {
            summary: "Invalid",
            reason: "InvalidSpec",
            message: "size 12 is out of range".into(),
        })
    }

    #[test]
    fn ready_pods_never_outnumber_pods() {
        let mut observed = observed();
        observed.pods[2].terminating = true;
        let status = render(&observed, &invalid(), &at(0));
        assert_eq!((status.replicas, status.ready_replicas), (Some(3), Some(2)));
    }

    #[test]
    fn pods_above_the_replicas_are_not_ready_any_more() {
        let mut observed = observed();
        observed.set.as_mut().unwrap().spec.as_mut().unwrap().replicas = Some(1);
        let status = render(&observed, &invalid(), &at(0));
        assert_eq!((status.replicas, status.ready_replicas), (Some(3), Some(1)));
    }

    #[test]
    fn a_stalled_reconciliation_says_why_and_for_which_generation() {
        let status = render(&observed(), &invalid(), &at(0));
        let stalled = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == STALLED)
            .unwrap();
        assert_eq!(
            (stalled.status.as_str(), stalled.reason.as_str()),
            ("True", "InvalidSpec")
        );
        assert_eq!(stalled.observed_generation, Some(4));
        assert_eq!(stalled.message, "Size 12 is out of range.");
    }

    #[test]
    fn waiting_for_something_to_go_is_progress_and_not_a_failure() {
        let obstacle = Obstacle {
            summary: "Waiting",
            reason: "WaitingForDeletion",
            message: "it goes.".into(),
        };
        let status = render(&observed(), &Outcome::Waiting(obstacle), &at(0));
        let told = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
        assert_eq!(told(PROGRESSING).unwrap().status, "True");
        assert_eq!(told(PROGRESSING).unwrap().message, "It goes.");
        assert_eq!(told(STALLED), None);
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_transition() {
        let mut observed = observed();
        observed.cluster.status = Some(render(&observed, &invalid(), &at(1)));
        let again = render(&observed, &invalid(), &at(2));
        assert!(is_current(&observed.cluster, &again));
        assert!(
            again
                .conditions
                .iter()
                .all(|condition| condition.last_transition_time == at(1))
        );
    }

    #[test]
    fn a_status_that_says_something_else_is_written() {
        let mut observed = observed();
        assert!(!is_current(&observed.cluster, &render(&observed, &invalid(), &at(1))));
        observed.cluster.status = Some(render(&observed, &invalid(), &at(1)));
        observed.pods.pop();
        assert!(!is_current(&observed.cluster, &render(&observed, &invalid(), &at(1))));
    }

    #[test]
    fn the_operator_leaves_the_agents_fields_alone() {
        let fields = serde_json::to_value(render(&observed(), &invalid(), &at(0))).unwrap();
        for field in ["clusterID", "leader", "members", "seats"] {
            assert!(fields.get(field).is_none(), "{field}");
        }
    }
}
