//! The pause before a failed reconciliation is repeated: almost none when somebody else
//! was quicker, and otherwise an exponential back-off for each cluster, with jitter.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::error::ReconcileError;

/// The first pause. Each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(30);
/// The pause after a conflict.
const CONFLICT: Duration = Duration::from_millis(10);

/// The back-offs of clusters whose last reconciliation failed, by `namespace/name`.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    backoffs: Mutex<BTreeMap<String, ExponentialBackoff>>,
}

impl Failures {
    /// Counts a failure; returns the pause before the next attempt. `jitter` is between 0 and 1.
    pub(crate) fn failed(&self, cluster: &str, error: &ReconcileError, jitter: f64) -> Duration {
        if error.is_conflict() {
            return CONFLICT.mul_f64(1.0 + jitter);
        }
        let mut backoffs = self.lock();
        let backoff = backoffs.entry(cluster.to_owned()).or_insert_with(doubling);
        let pause = backoff.next().unwrap_or(LONGEST);
        // backon multiplies in single precision, which leaves a few nanoseconds too many; and its own jitter
        // lengthens a pause beyond the bound, while this one shortens it.
        let pause = pause - Duration::from_nanos(u64::from(pause.subsec_nanos() % 1_000_000));
        pause.mul_f64(0.5 + jitter / 2.0)
    }

    /// Forgets the failures of a cluster.
    pub(crate) fn succeeded(&self, cluster: &str) {
        self.lock().remove(cluster);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ExponentialBackoff>> {
        self.backoffs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn doubling() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .with_factor(2.0)
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api_error(code: u16, reason: &str) -> ReconcileError {
        let status = kube::core::Status::failure("no", reason).with_code(code);
        ReconcileError::reading("thing")(kube::Error::Api(status.boxed()))
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
