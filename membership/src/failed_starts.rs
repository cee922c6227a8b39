//! An etcd that ends before it has served, again and again in the same way: told in its own words, and started with
//! growing pauses.
//!
//! The first failure says nothing yet: a member list that has just changed, a name that is not published. From the
//! second one on a person may have to act, so phase, reason and sentence are the same in all states that follow each
//! other until etcd serves: nobody reads a sentence that flips.

use std::time::Duration;

use muster_reasons::Reason;

use crate::decision::{Action, Draft, Phase, StartPlan};
use crate::ids::Time;
use crate::observed::{FailedStarts, Observed};
use crate::timing::{FIRST_START_PAUSE, LONGEST_JOIN_PAUSE, LONGEST_PAUSE, LONGEST_START_PAUSE};

/// Tells of repeated failures instead of the usual words of a start, and holds a start whose time has not come.
pub(crate) fn tell(draft: &mut Draft, observed: &Observed, now: Time) {
    let failed = observed.failed_starts.as_ref().filter(|failed| failed.count > 1);
    let Some(failed) = failed.filter(|_| !observed.hook_waits) else {
        return;
    };
    let start = draft.actions.iter().find_map(|action| match action {
        Action::Start(plan) => Some(plan),
        _ => None,
    });
    let waits = matches!(
        draft.reason,
        Some(Reason::WaitingForEtcdContainer | Reason::EtcdStarting)
    );
    if let Some(plan) = start {
        let (rest, passed) = (pause(failed, plan), now.since(failed.last));
        if passed < rest {
            draft.actions.retain(|action| !matches!(action, Action::Start(_)));
            draft.pause = (rest - passed).min(LONGEST_PAUSE);
        }
    } else if !waits {
        return;
    }
    draft.phase = Some(Phase::Waiting);
    draft.reason = Some(Reason::EtcdDoesNotStart);
    draft.why = format!(
        "etcd does not start: {}; it is tried again, with growing pauses",
        failed.words
    );
}

/// The pause after these failures: shorter for a joiner, whose failure others may mend at any moment. Data is started
/// whenever the launcher asks: with a log, each end of etcd ends its container, and the kubelet makes the pauses.
fn pause(failed: &FailedStarts, plan: &StartPlan) -> Duration {
    let longest = match plan {
        StartPlan::Existing { .. } => LONGEST_JOIN_PAUSE,
        StartPlan::New { .. } => LONGEST_START_PAUSE,
        StartPlan::Resume => return Duration::ZERO,
    };
    let doublings = failed.count.saturating_sub(2).min(10);
    (FIRST_START_PAUSE * 2_u32.pow(doublings)).min(longest)
}
