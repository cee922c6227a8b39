//! The pace of looks and attempts, and the words of the last attempt that failed.
//!
//! The first looks of a wait follow each other quickly. The longer it lasts, the longer is the pause: a twentieth of the
//! time waited, so that nothing takes noticeably longer, and what lasts for hours costs little. The shell adds jitter to
//! a long pause, and changes that it is told of (the launcher, the StatefulSet's watch, the hook) end every pause.

use std::mem::discriminant;

use muster_reasons::Reason;

use crate::decision::{Action, Draft, Phase};
use crate::ids::Time;
use crate::memory::{Memory, Wait};
use crate::observed::Observed;
use crate::timing::{BUSY_INTERVAL, LONGEST_PAUSE, PAUSE_PART, REST_INTERVAL};

/// Lets the pause of a draft that says the same as the last one grow. A seat that leaves is waited for and stays quick;
/// so does a look between two decisions.
pub(crate) fn pace(draft: &mut Draft, observed: &Observed, memory: &mut Memory, now: Time) {
    let (Some(phase), Some(reason)) = (draft.phase, draft.reason) else {
        return;
    };
    let this = Wait {
        phase,
        reason: cause(reason),
        step: draft.actions.first().map(discriminant),
        since: now,
    };
    let Some(wait) = memory.wait.filter(|wait| Wait { since: now, ..*wait } == this) else {
        memory.wait = Some(this);
        return;
    };
    let hurries = observed.hook_waits || phase == Phase::Leaving;
    if hurries || draft.pause >= REST_INTERVAL {
        return;
    }
    let first = match draft.actions.is_empty() {
        true => draft.pause,
        // It was tried before.
        false => draft.pause.max(BUSY_INTERVAL),
    };
    draft.pause = (wait.lasted(now) / PAUSE_PART).clamp(first, LONGEST_PAUSE);
}

/// The reason; for all causes of a failed read the same one, as they differ in words only.
fn cause(reason: Reason) -> Reason {
    match reason {
        Reason::ApiServerRefused | Reason::ApiServerUnreadable | Reason::BirthRecordDamaged => Reason::ApiServerSilent,
        other => other,
    }
}

/// Adds to the sentence what the last attempt at the step failed with, in the words of who refused it.
pub(crate) fn tell_setback(draft: &mut Draft, observed: &Observed, memory: &Memory) {
    let Some((failed, words)) = &observed.setback else {
        return;
    };
    let again = |action: &Action| discriminant(action) == discriminant(failed);
    let what = match failed {
        Action::PruneArchives if !memory.pruned => "older archives could not be deleted",
        Action::RepublishBirth { .. } | Action::MarkFormed if memory.record_attempts.is_some() => {
            "the birth record could not be written"
        }
        _ if draft.actions.iter().any(again) => "the last attempt failed",
        _ => return,
    };
    if draft.phase.is_some() && !draft.why.contains(words.as_str()) {
        draft.why.push_str(&format!("; {what}: {words}"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observed::Me;

    fn seat() -> Observed {
        let me = Me {
            seat: crate::ids::Seat(1),
            name: "c-1".into(),
            peer_url: String::new(),
            volume: String::new(),
        };
        Observed::nothing_yet(me, String::new())
    }

    /// The times of the decisions in `seconds` of one wait, without the time that looks take.
    fn decisions(seconds: u64, draft: impl Fn() -> Draft) -> Vec<Time> {
        let (mut now, mut memory, mut times) = (Time(1_000), Memory::default(), vec![]);
        let end = now.after(Duration::from_secs(seconds));
        // Without growing pauses there would be no end.
        while now < end && times.len() < 10_000 {
            times.push(now);
            let mut draft = draft();
            pace(&mut draft, &seat(), &mut memory, now);
            assert!(draft.pause <= LONGEST_PAUSE);
            now = now.after(draft.pause);
        }
        times
    }

    #[test]
    fn a_wait_is_looked_at_as_often_as_ever_at_first_and_seldom_later() {
        let wait = || Draft::wait(Phase::Waiting, Reason::NameNotPublished, "", BUSY_INTERVAL);
        assert_eq!(decisions(2, wait).len(), 20);
        assert!(decisions(60, wait).len() < 100, "{}", decisions(60, wait).len());
        assert!(decisions(3_660, wait).len() < 1_300, "{}", decisions(3_660, wait).len());
    }

    #[test]
    fn a_step_that_fails_is_never_tried_at_full_speed() {
        let claim = || Draft::act(Phase::Founding, Reason::Founding, "", [Action::MarkFormed]).within(Duration::ZERO);
        let times = decisions(60, claim);
        // The first attempt may be a success, and the next look comes at once.
        assert_eq!(times[0], times[1]);
        assert!(times.len() < 100, "{}", times.len());
    }

    #[test]
    fn a_change_begins_anew_and_a_leaving_seat_stays_quick() {
        let mut memory = Memory::default();
        let mut paused = |phase, at, observed: &Observed| {
            let mut draft = Draft::wait(phase, Reason::QuorumAtRisk, "", BUSY_INTERVAL);
            pace(&mut draft, observed, &mut memory, Time(at));
            draft.pause
        };
        assert_eq!(paused(Phase::Waiting, 0, &seat()), BUSY_INTERVAL);
        assert_eq!(paused(Phase::Waiting, 40_000, &seat()), Duration::from_secs(2));
        let hook = Observed {
            hook_waits: true,
            ..seat()
        };
        assert_eq!(paused(Phase::Waiting, 40_000, &hook), BUSY_INTERVAL);
        assert_eq!(paused(Phase::Leaving, 40_000, &seat()), BUSY_INTERVAL);
        assert_eq!(paused(Phase::Leaving, 90_000, &seat()), BUSY_INTERVAL);
        assert_eq!(paused(Phase::Waiting, 90_000, &seat()), BUSY_INTERVAL);
    }
}
