//! A cluster's conditions, and its summary in one word. No client.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use muster_api::cluster::EtcdCluster;
use muster_api::reasons::{Place, Reason};

/// All members wanted are there, vote, and are ready.
pub(crate) const READY: &str = "Ready";
/// The cluster is changing towards its spec.
pub(crate) const PROGRESSING: &str = "Progressing";
/// Something that should work does not.
pub(crate) const DEGRADED: &str = "Degraded";
/// The cluster does not serve.
pub(crate) const QUORUM_LOST: &str = "QuorumLost";
/// Nothing happens until somebody changes something.
pub(crate) const STALLED: &str = "Stalled";
/// A warning: the size is even.
pub(crate) const EVEN_SIZE: &str = "EvenSize";
/// A warning: several members run on one node.
pub(crate) const SHARED_NODE: &str = "SharedNode";
/// A warning: the etcd version has known defects.
pub(crate) const VERSION_ADVISORY: &str = "VersionAdvisory";
/// A warning: what runs is not the version that the spec says.
pub(crate) const VERSION_MISMATCH: &str = "VersionMismatch";

macro_rules! summaries {
    ($($name:ident),+) => {
        /// The state of a cluster in one word: `status.summary`. Lost: every volume is gone. Waiting, Blocked, Refused
        /// and Invalid: the reconciliation did not reach its end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Summary { $($name),+ }

        impl Summary {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

summaries! {
    Ready, Creating, Growing, Joining, Leaving, Shrinking, ShrinkWaiting, Updating, Degraded, QuorumLost, Rescuing,
    Hibernating, Hibernated, Waking, Lost, Waiting, Blocked, Refused, Invalid
}

/// A condition before it is put beside the one that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) kind: &'static str,
    /// The condition's status; none means unknown.
    pub(crate) holds: Option<bool>,
    pub(crate) reason: Reason,
    /// A sentence for people.
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(
        kind: &'static str,
        holds: impl Into<Option<bool>>,
        reason: Reason,
        message: impl Into<String>,
    ) -> Self {
        debug_assert!(reason.places().contains(&Place::Condition), "{reason} in a condition");
        Self {
            kind,
            holds: holds.into(),
            reason,
            message: message.into(),
        }
    }

    /// The condition, keeping the time of its last transition.
    pub(crate) fn condition(self, cluster: &EtcdCluster, now: &Time) -> Condition {
        let status = match self.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = previous(cluster, self.kind).filter(|before| before.status == status);
        Condition {
            type_: self.kind.to_owned(),
            status: status.to_owned(),
            reason: self.reason.name().to_owned(),
            message: self.message,
            observed_generation: cluster.metadata.generation,
            last_transition_time: before.map_or_else(|| now.clone(), |before| before.last_transition_time.clone()),
        }
    }
}

/// The condition of that type that is stored.
pub(crate) fn previous<'a>(cluster: &'a EtcdCluster, kind: &str) -> Option<&'a Condition> {
    cluster
        .status
        .as_ref()?
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)
}
