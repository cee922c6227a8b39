//! The progress of a learner, and the patience with one that makes none.
//!
//! etcd serves no client before it has received the leader's snapshot, restored it, and applied its own name. Until
//! then a learner is silent, and its progress is what its agent reports: the bytes of snapshot and log files.
//!
//! ```text
//!   receives ─────────────▶ restores ──────────▶ replays the log ─────▶ promoted
//!   bytes grow              nothing moves:        the applied index
//!                           time by their number  grows, Status answers
//! ```

use std::time::Duration;

use crate::ids::{MemberId, Seat, Time};
use crate::memory::{LearnerWatch, Memory};
use crate::timing::{EVICTION_PATIENCE, LONGEST_RESTORE, PATIENCE_DOUBLINGS, RECEIVED_ANEW, RESTORE_RATE};

/// A look at a learner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Its applied index, if its etcd answers.
    pub(crate) applied: Option<u64>,
    /// The bytes of its snapshot and log files, if its agent answers.
    pub(crate) bytes: Option<u64>,
    /// True if it has nothing left to make progress with.
    pub(crate) caught_up: bool,
}

/// Notes a look at a learner. What is not known at this look stays as it was: silence is no progress.
pub(crate) fn note(before: Option<LearnerWatch>, look: Look, now: Time) -> LearnerWatch {
    let Some(mut watch) = before else {
        return LearnerWatch {
            progress: (look.applied.unwrap_or(0), look.bytes.unwrap_or(0)),
            since: now,
            heard: look.bytes.filter(|bytes| *bytes > 0).map(|_| now),
            anew: 0,
        };
    };
    let (applied, bytes) = &mut watch.progress;
    let mut moved = look.caught_up;
    if let Some(index) = look.applied {
        moved |= index != *applied;
        *applied = index;
    }
    if let Some(reported) = look.bytes {
        if reported > *bytes {
            moved = true;
            *bytes = reported;
        } else if reported < *bytes && watch.anew < RECEIVED_ANEW {
            watch.anew += 1;
            *bytes = reported;
        }
        if reported > 0 {
            watch.heard = Some(now);
        }
    }
    if moved {
        watch.since = now;
    }
    watch
}

/// True if a learner that made no progress had the time that it gets. `answers` says whether its etcd does: one that is
/// silent while its agent reports bytes may be restoring them.
pub(crate) fn had_its_time(watch: LearnerWatch, patience: Duration, answers: bool, now: Time) -> bool {
    let still = now.since(watch.since);
    match watch.heard {
        Some(heard) if !answers => {
            let gone = now.since(heard.max(watch.since));
            gone >= patience || still >= patience + restore_time(watch.progress.1)
        }
        _ => still >= patience,
    }
}

/// The time in which that many bytes are restored.
fn restore_time(bytes: u64) -> Duration {
    Duration::from_secs(bytes / RESTORE_RATE).min(LONGEST_RESTORE)
}

/// The patience with a learner without progress. It only ever grows while this agent lives, and an eviction
/// that has to be tried twice is one.
pub(crate) fn patience(memory: &Memory, seat: Option<Seat>, learner: MemberId) -> Duration {
    let evictions = seat
        .and_then(|seat| memory.evictions.get(&seat))
        .map_or(0, |evictions| match evictions.last == learner {
            true => evictions.count - 1,
            false => evictions.count,
        });
    EVICTION_PATIENCE * 2_u32.pow(evictions.min(PATIENCE_DOUBLINGS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time(1_000_000);
    const GIB: u64 = 1 << 30;

    fn at(seconds: u64) -> Time {
        START.after(Duration::from_secs(seconds))
    }

    fn look(bytes: Option<u64>) -> Look {
        Look {
            applied: None,
            bytes,
            caught_up: false,
        }
    }

    fn over(watch: LearnerWatch, seconds: u64) -> bool {
        had_its_time(watch, EVICTION_PATIENCE, false, at(seconds))
    }

    #[test]
    fn a_silent_learner_whose_snapshot_arrives_at_any_rate_is_never_out_of_time() {
        let mut watch = note(None, look(Some(0)), START);
        for second in 1..10_000 {
            // A report that is missed now and then is no progress, and no loss.
            let bytes = (second % 7 != 0).then_some(second * 500_000);
            watch = note(Some(watch), look(bytes), at(second));
            assert!(!over(watch, second), "after {second} s");
        }
    }

    #[test]
    fn a_restore_gets_time_by_its_bytes_while_the_agent_is_heard() {
        let mut watch = note(None, look(Some(8 * GIB)), START);
        for second in 1..=970 {
            watch = note(Some(watch), look(Some(8 * GIB)), at(second));
            assert!(!over(watch, second), "after {second} s");
        }
        watch = note(Some(watch), look(Some(8 * GIB)), at(980));
        assert!(over(watch, 980));
    }

    #[test]
    fn a_learner_whose_agent_is_gone_too_gets_no_more_than_before() {
        let watch = note(None, look(Some(8 * GIB)), START);
        let later = note(Some(watch), look(None), at(119));
        assert!(!over(later, 119));
        assert!(over(later, 120));
        let never_heard = note(None, look(None), START);
        assert!(!over(never_heard, 119) && over(never_heard, 120));
    }

    #[test]
    fn a_learner_that_answers_gets_no_time_for_a_restore() {
        let watch = note(None, look(Some(8 * GIB)), START);
        assert!(had_its_time(watch, EVICTION_PATIENCE, true, at(120)));
    }

    #[test]
    fn bytes_that_flicker_are_progress_a_few_times_only() {
        let mut watch = note(None, look(Some(0)), START);
        for second in 1..1_000 {
            // The disk is full after a hundred bytes, again and again.
            watch = note(Some(watch), look(Some(second * 10 % 100)), at(second));
        }
        assert_eq!(watch.anew, RECEIVED_ANEW);
        assert!(over(watch, 1_000));
    }

    #[test]
    fn a_receiver_that_was_killed_and_begins_anew_makes_progress() {
        let watch = note(None, look(Some(5 * GIB)), START);
        let killed = note(Some(watch), look(Some(0)), at(10));
        assert_eq!(killed.since, START);
        assert_eq!(note(Some(killed), look(Some(1)), at(20)).since, at(20));
    }
}
