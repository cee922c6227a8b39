//! The operator's part of an EtcdCluster's status: rendered from what was applied (no client), and written by
//! [`report()`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use muster_api::Reason;
use muster_api::cluster::EtcdCluster;
use muster_api::names::Names;
use muster_api::status::EtcdClusterStatus;
use muster_api::workload::replicas;

use self::health::HealthInput;
pub(crate) use self::report::{report, report_unreadable};
use crate::apply::Applied;
use crate::conditions::{
    DEGRADED, EVEN_SIZE, Finding, PROGRESSING, QUORUM_LOST, READY, SHARED_NODE, STALLED, Summary, VERSION_ADVISORY,
    VERSION_MISMATCH, previous,
};
use crate::dereference::ObservedCluster;
use crate::error::ReconcileError;
use crate::ownership::Blocked;
use crate::stored::Unreadable;
use crate::validate::Invalid;

pub(crate) mod health;
mod report;
#[cfg(test)]
mod tests;

/// The end of a reconciliation.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    /// Everything is as it was built.
    Applied(&'a Applied, HealthInput<'a>),
    /// Nothing was touched yet: an object of the past has to go first.
    Waiting(Blocker),
    /// Nothing was touched, or something could not be.
    Stalled(Blocker),
}

/// The obstacle that keeps a reconciliation from its end.
#[derive(Debug)]
pub(crate) struct Blocker {
    summary: Summary,
    reason: Reason,
    message: String,
}

impl Outcome<'_> {
    /// The spec cannot work.
    pub(crate) fn invalid(invalid: &Invalid) -> Self {
        Self::Stalled(Blocker {
            summary: Summary::Invalid,
            reason: Reason::InvalidSpec,
            message: invalid.to_string(),
        })
    }

    /// The API server refused an object for what it contains.
    pub(crate) fn refused(error: &ReconcileError) -> Self {
        Self::Stalled(Blocker {
            summary: Summary::Refused,
            reason: Reason::RefusedByKubernetes,
            message: error.to_string(),
        })
    }

    /// An object is in the way: for good, or until it is deleted.
    pub(crate) fn blocked(blocked: &Blocked) -> Self {
        let blocker = |summary| Blocker {
            summary,
            reason: blocked.reason(),
            message: blocked.to_string(),
        };
        match blocked {
            Blocked::Foreign { .. } => Self::Stalled(blocker(Summary::Blocked)),
            Blocked::Predecessor { .. } => Self::Waiting(blocker(Summary::Waiting)),
        }
    }
}

/// Renders the status of an EtcdCluster that this release cannot read: why, and what was last known beside it.
pub(crate) fn render_unreadable(unreadable: &Unreadable, now: &Time) -> EtcdClusterStatus {
    let cluster = &unreadable.cluster;
    let blocker = Blocker {
        summary: Summary::Invalid,
        reason: Reason::UnreadableObject,
        message: unreadable.to_string(),
    };
    let stored = cluster.status.clone().unwrap_or_default();
    EtcdClusterStatus {
        observed_generation: cluster.metadata.generation,
        summary: Some(blocker.summary.name().to_owned()),
        reason: Some(blocker.reason.name().to_owned()),
        conditions: conditions(cluster, blocker.findings(true), KEPT, now),
        replicas: stored.replicas,
        ready_replicas: stored.ready_replicas,
        selector: stored.selector,
        version: stored.version,
        ..EtcdClusterStatus::default()
    }
}

/// Conditions that a stalled reconciliation leaves as they are.
const KEPT: &[&str] = &[
    DEGRADED,
    QUORUM_LOST,
    EVEN_SIZE,
    SHARED_NODE,
    VERSION_ADVISORY,
    VERSION_MISMATCH,
];

/// Renders the operator's fields, and nothing of anybody else's.
pub(crate) fn render(observed: &ObservedCluster, outcome: &Outcome<'_>, now: &Time) -> EtcdClusterStatus {
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
    let (summary, cause, findings, version) = match outcome {
        Outcome::Applied(_, input) => {
            let health = health::assess(input);
            let version = input.cluster.version.to_string();
            (health.summary, health.cause, health.findings, Some(version))
        }
        Outcome::Waiting(blocker) | Outcome::Stalled(blocker) => {
            let version = cluster.status.as_ref().and_then(|status| status.version.clone());
            let stalled = matches!(outcome, Outcome::Stalled(_));
            (
                blocker.summary,
                Some(blocker.reason),
                blocker.findings(stalled),
                version,
            )
        }
    };
    // Nothing new is known of the members when nothing was applied.
    let kept: &[&str] = if matches!(outcome, Outcome::Applied(..)) {
        &[]
    } else {
        KEPT
    };
    EtcdClusterStatus {
        observed_generation: cluster.metadata.generation,
        summary: Some(summary.name().to_owned()),
        reason: cause.map(|reason| reason.name().to_owned()),
        conditions: conditions(cluster, findings, kept, now),
        replicas: Some(observed.pods.len() as i32),
        ready_replicas: Some(ready as i32),
        selector: Some(names.selector_text()),
        version,
        ..EtcdClusterStatus::default()
    }
}

/// The conditions that were found, and those of the kinds in `kept` as they are stored; sorted by type.
fn conditions(cluster: &EtcdCluster, findings: Vec<Finding>, kept: &[&str], now: &Time) -> Vec<Condition> {
    let kept = kept.iter().filter_map(|kind| previous(cluster, kind).cloned());
    let found = findings.into_iter().map(|finding| finding.condition(cluster, now));
    let mut conditions: Vec<_> = found.chain(kept).collect();
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    conditions
}

impl Blocker {
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

/// True if the status that is stored already says the same.
pub(crate) fn is_current(cluster: &EtcdCluster, status: &EtcdClusterStatus) -> bool {
    let Some(stored) = &cluster.status else { return false };
    let mut stored_conditions = stored.conditions.clone();
    stored_conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    stored.observed_generation == status.observed_generation
        && stored.summary == status.summary
        && stored.reason == status.reason
        && stored.replicas == status.replicas
        && stored.ready_replicas == status.ready_replicas
        && stored.selector == status.selector
        && stored.version == status.version
        && stored_conditions == status.conditions
}
