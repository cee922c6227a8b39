//! The state of the watches: an operator whose watches fail sees no change, and must not call itself ready.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time for which watches may fail before that counts: an API server restarts in less.
const GRACE: Duration = Duration::from_secs(15);
/// Time after the last failure at which watches count as working again. A watch that fails is begun again within a
/// second, and its requests end after a few seconds: a failure that lasts is seen more often than this.
const QUIET: Duration = Duration::from_secs(45);

/// The failures of watches that follow one another.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    failing: Mutex<Option<Failing>>,
}

#[derive(Debug, Clone)]
struct Failing {
    since: Instant,
    last: Instant,
    words: String,
}

impl Watches {
    /// Notes that a watch has failed, and the words of the failure.
    pub(crate) fn failed(&self, words: String, now: Instant) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let since = failing
            .as_ref()
            .filter(|before| now.duration_since(before.last) < QUIET)
            .map_or(now, |before| before.since);
        *failing = Some(Failing {
            since,
            last: now,
            words,
        });
    }

    /// Forgets failures: those of an earlier term say nothing about this one.
    pub(crate) fn reset(&self) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The sentence that says why the watches do not work, if they do not.
    pub(crate) fn problem(&self, now: Instant) -> Option<String> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let lasts = failing.last.duration_since(failing.since) >= GRACE;
        (lasts && now.duration_since(failing.last) < QUIET).then(|| {
            let seconds = now.duration_since(failing.since).as_secs();
            format!(
                "a watch has failed for {seconds} seconds, so changes are not seen: {}",
                failing.words
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_failure_that_lasts_is_told_in_its_own_words() {
        let (watches, start) = (Watches::default(), Instant::now());
        for seconds in 0..=20 {
            watches.failed(format!("no {seconds}"), after(start, seconds));
        }
        let problem = watches.problem(after(start, 21)).unwrap();
        assert!(
            problem.contains("21 seconds") && problem.ends_with("no 20"),
            "{problem}"
        );
    }

    #[test]
    fn a_short_outage_is_none() {
        let (watches, start) = (Watches::default(), Instant::now());
        for seconds in 0..10 {
            watches.failed("no".into(), after(start, seconds));
        }
        assert_eq!(watches.problem(after(start, 10)), None);
    }

    #[test]
    fn two_failures_that_lie_far_apart_are_not_one() {
        let (watches, start) = (Watches::default(), Instant::now());
        watches.failed("no".into(), start);
        watches.failed("no".into(), after(start, 3_600));
        assert_eq!(watches.problem(after(start, 3_600)), None);
    }

    #[test]
    fn what_has_stopped_to_fail_works_again() {
        let (watches, start) = (Watches::default(), Instant::now());
        for seconds in 0..=20 {
            watches.failed("no".into(), after(start, seconds));
        }
        assert_eq!(watches.problem(after(start, 20 + QUIET.as_secs())), None);
        watches.failed("no".into(), after(start, 21));
        watches.reset();
        assert_eq!(watches.problem(after(start, 22)), None);
    }
}
