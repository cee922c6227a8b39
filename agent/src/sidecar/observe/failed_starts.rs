//! Starts of etcd that failed, one after the other.

use muster_membership::{FailedStarts, Time};
use rustix::process::Signal;

use crate::etcd::last_words;
use crate::sidecar::agent::Agent;
use crate::socket::protocol::Exit;
use crate::socket::server::LauncherState;

impl Agent {
    /// Counts the run of etcd that ended since the last look, unless it served or was meant to end.
    pub(super) fn count_failed_start(&mut self, state: &LauncherState) {
        let known = std::mem::replace(&mut self.exits_seen, state.exits);
        let Some(exit) = state.last_exit.as_ref().filter(|_| state.exits != known) else {
            return;
        };
        let served = self.observed.local.seen.is_some();
        let meant = self.observed.container_ends || self.observed.hook_waits;
        self.observed.failed_starts = if served || meant {
            None
        } else {
            after(self.observed.failed_starts.take(), exit, self.now())
        };
    }

    /// Forgets failed starts once etcd has answered.
    pub(super) fn forget_failed_starts(&mut self) {
        if self.observed.local.seen.is_some() {
            self.observed.failed_starts = None;
        }
    }
}

/// The failed starts after one more end of etcd.
fn after(before: Option<FailedStarts>, exit: &Exit, now: Time) -> Option<FailedStarts> {
    let words = words(exit)?;
    let count = before
        .filter(|before| before.words == words)
        .map_or(0, |before| before.count);
    Some(FailedStarts {
        words,
        count: count.saturating_add(1),
        last: now,
    })
}

/// The cause of an end that is a failure.
fn words(exit: &Exit) -> Option<String> {
    const TERM: i32 = Signal::TERM.as_raw();
    const KILL: i32 = Signal::KILL.as_raw();
    let how = match (exit.code, exit.signal) {
        (Some(0), _) | (_, Some(TERM)) => return None,
        (_, Some(KILL)) => "it was killed, as the kernel does when a container reaches its memory limit".to_owned(),
        (_, Some(signal)) => format!("signal {signal} ended it"),
        (Some(code), _) => format!("it ended with code {code}"),
        (None, None) => "it cannot be run".to_owned(),
    };
    // Whoever was killed did not know.
    let said = last_words(exit.first_line.as_deref(), &exit.stderr).filter(|_| exit.signal.is_none());
    Some(said.unwrap_or(how))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: Option<i32>, signal: Option<i32>, line: &str) -> Exit {
        Exit {
            plan: 1,
            code,
            signal,
            first_line: Some(line.to_owned()),
            stderr: vec![line.to_owned()],
            had_wal: false,
        }
    }

    #[test]
    fn equal_failures_are_counted_and_another_one_begins_anew() {
        let wrong = exit(Some(2), None, "flag provided but not defined: -x");
        let once = after(None, &wrong, Time(1));
        let twice = after(once, &wrong, Time(2)).unwrap();
        assert_eq!((twice.count, twice.last), (2, Time(2)));
        assert!(twice.words.contains("-x"), "{}", twice.words);
        let other = after(Some(twice), &exit(Some(1), None, "no"), Time(3)).unwrap();
        assert_eq!(other.count, 1);
    }

    #[test]
    fn an_end_that_was_meant_is_no_failure() {
        for meant in [exit(Some(0), None, "bye"), exit(None, Some(15), "bye")] {
            assert_eq!(after(None, &meant, Time(1)), None);
        }
    }

    #[test]
    fn a_killed_etcd_is_told_as_such_and_not_by_its_last_line() {
        let words = words(&exit(None, Some(9), "all is well")).unwrap();
        assert!(words.contains("memory limit"), "{words}");
    }
}
