//! A cluster's conditions and its one-word summary.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use muster_api::cluster::EtcdCluster;

/// All members wanted are there, vote, and are ready.
pub const READY: &str = "Ready";
/// The cluster is changing towards its spec.
pub const PROGRESSING: &str = "Progressing";
/// Something that should work does not.
pub const DEGRADED: &str = "Degraded";
/// The cluster does not serve.
pub const QUORUM_LOST: &str = "QuorumLost";
/// Nothing happens until somebody changes something.
pub const STALLED: &str = "Stalled";
/// A warning: the size is even.
pub const EVEN_SIZE: &str = "EvenSize";
/// A warning: the etcd version has known defects.
pub const VERSION_ADVISORY: &str = "VersionAdvisory";

/// A condition before it is put beside the one that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The condition's type.
    pub kind: &'static str,
    /// Whether it holds; unknown if nobody can say.
    pub holds: Option<bool>,
    /// A word for machines.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl Finding {
    /// A finding.
    pub fn new(
        kind: &'static str,
        holds: impl Into<Option<bool>>,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            holds: holds.into(),
            reason,
            message: message.into(),
        }
    }

    /// The condition, keeping the time of its last transition.
    pub fn condition(self, cluster: &EtcdCluster, now: &Time) -> Condition {
        let status = match self.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = previous(cluster, self.kind).filter(|before| before.status == status);
        Condition {
            type_: self.kind.to_owned(),
            status: status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message,
            observed_generation: cluster.metadata.generation,
            last_transition_time: before.map_or_else(|| now.clone(), |before| before.last_transition_time.clone()),
        }
    }
}

/// The condition of that type that is stored.
pub fn previous<'a>(cluster: &'a EtcdCluster, kind: &str) -> Option<&'a Condition> {
    cluster
        .status
        .as_ref()?
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)
}
