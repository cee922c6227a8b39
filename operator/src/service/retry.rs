//! How soon a failed reconciliation is tried again: at once when somebody else
//! was quicker, and otherwise after a while that grows, with jitter.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::error::Error;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(30);
const CONFLICT: Duration = Duration::from_millis(10);

/// Failures in a row, by cluster.
#[derive(Debug, Default)]
pub struct Failures {
    counts: Mutex<BTreeMap<String, u32>>,
}

impl Failures {
    /// A reconciliation failed: how long to wait. `jitter` is between 0 and 1.
    pub fn failed(&self, cluster: &str, error: &Error, jitter: f64) -> Duration {
        if error.is_conflict() {
            return CONFLICT.mul_f64(1.0 + jitter);
        }
        let mut counts = self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = counts.entry(cluster.to_owned()).or_default();
        let doubled = FIRST.saturating_mul(1 << (*count).min(16)).min(LONGEST);
        *count += 1;
        doubled.mul_f64(0.5 + jitter / 2.0)
    }

    /// A reconciliation succeeded.
    pub fn succeeded(&self, cluster: &str) {
        self.counts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(cluster);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api_error(code: u16, reason: &str) -> Error {
        let status = kube::core::Status::failure("no", reason).with_code(code);
        Error::reading("thing")(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_conflict_is_retried_at_once_every_time() {
        let failures = Failures::default();
        let conflict = api_error(409, "Conflict");
        for _ in 0..20 {
            assert!(failures.failed("db", &conflict, 1.0) <= Duration::from_millis(20));
        }
    }

    #[test]
    fn waiting_starts_short_doubles_and_ends_at_a_bound() {
        let failures = Failures::default();
        let error = api_error(500, "InternalError");
        let mut waits = (0..40).map(|_| failures.failed("db", &error, 1.0));
        assert_eq!(waits.next(), Some(FIRST));
        assert_eq!(waits.next(), Some(FIRST * 2));
        assert_eq!(waits.last(), Some(LONGEST));
    }

    #[test]
    fn success_forgets_failures_of_that_cluster_only() {
        let failures = Failures::default();
        let error = api_error(500, "InternalError");
        for cluster in ["a", "b"] {
            failures.failed(cluster, &error, 1.0);
        }
        failures.succeeded("a");
        assert_eq!(failures.failed("a", &error, 1.0), FIRST);
        assert_eq!(failures.failed("b", &error, 1.0), FIRST * 2);
    }

    #[test]
    fn jitter_spreads_the_waits() {
        let error = api_error(500, "InternalError");
        assert!(Failures::default().failed("db", &error, 0.0) < Failures::default().failed("db", &error, 1.0));
    }
}
