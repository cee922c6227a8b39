//! The time since which the API server has not allowed an eviction: that is told once it lasts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time for which the cluster's own disruption budget may be behind: it counts a pod that has just become ready a
/// little later.
const GRACE: Duration = Duration::from_secs(15);

/// The first of the refusals that follow one another, by `namespace/name` of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    since: Mutex<BTreeMap<String, Instant>>,
}

impl Refusals {
    /// Notes that an eviction was not allowed; returns true if that lasts.
    pub(crate) fn refused(&self, cluster: &str, now: Instant) -> bool {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let first = since.entry(cluster.to_owned()).or_insert(now);
        now.duration_since(*first) >= GRACE
    }

    /// Notes that nothing is refused any more.
    pub(crate) fn ended(&self, cluster: &str) {
        self.since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(cluster);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_lasts_when_none_was_allowed_in_between() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        assert!(!refusals.refused("db", start));
        assert!(!refusals.refused("db", start + GRACE / 2));
        assert!(refusals.refused("db", start + GRACE));
        assert!(!refusals.refused("another", start + GRACE));
        refusals.ended("db");
        assert!(!refusals.refused("db", start + GRACE));
    }
}
