//! The obstacle that keeps a pod from running, in Kubernetes' own words. No client.
//!
//! The agent in the pod cannot tell: it does not run yet, or it sees only that etcd's container does not.
//!
//! ```text
//!   the pod's own status ─▶ pod      no node, no image, a container that cannot start or ends
//!   Events               ─▶ event    what the status does not have: a pod that is not created, a volume that is not
//!                                    there or not mounted
//! ```
//!
//! Both give words that stay the same from try to try ([`words`]): each change of a condition is a write.

use muster_api::Reason;

pub(crate) mod event;
pub(crate) mod look;
pub(crate) mod pod;
mod words;

/// An obstacle that keeps a pod from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// The cause, in the word that Kubernetes has for it.
    pub(crate) reason: Reason,
    /// The clause that completes "db-0: …".
    pub(crate) clause: String,
}

impl Obstacle {
    fn new(reason: Reason, clause: impl Into<String>) -> Self {
        Self {
            reason,
            clause: clause.into(),
        }
    }
}

/// An introduction, and the words that follow it if there are any.
fn introduced(introduction: &str, said: &str) -> String {
    match words::clause(said) {
        said if said.is_empty() => introduction.to_owned(),
        said => format!("{introduction}: {said}"),
    }
}
