//! The state of the seat, for people and machines: nothing is decided by it.

use muster_membership::{Decision, Phase, Reason};

/// The state by the last decision that names one; an intermediate look does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeatState {
    pub(crate) phase: Phase,
    pub(crate) reason: Option<Reason>,
    /// The cause in one sentence.
    pub(crate) why: String,
    /// The time of day since which phase and sentence have been the same.
    pub(crate) since: String,
}

impl SeatState {
    /// The state after `decision`; none if that is an intermediate look, which leaves the state as it is.
    pub(crate) fn after(before: Option<&Self>, decision: &Decision, clock: impl FnOnce() -> String) -> Option<Self> {
        let mut next = Self {
            phase: decision.phase?,
            reason: decision.reason,
            why: decision.why.clone(),
            since: String::new(),
        };
        let same = before.filter(|state| state.reads_like(&next));
        next.since = same.map_or_else(clock, |state| state.since.clone());
        Some(next)
    }

    /// True if phase and sentence are the same.
    pub(crate) fn reads_like(&self, other: &Self) -> bool {
        self.phase == other.phase && self.why == other.why
    }

    /// The reason as reports write it.
    pub(crate) fn reason_name(&self) -> String {
        self.reason.map_or(String::new(), |reason| reason.name().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use muster_membership::{Memory, Time};

    use super::*;

    fn decision(phase: Option<Phase>, reason: Option<Reason>, why: &str) -> Decision {
        Decision {
            actions: vec![],
            needs: BTreeSet::new(),
            next_check: Time(0),
            phase,
            reason,
            why: why.into(),
            memory: Memory::default(),
        }
    }

    #[test]
    fn an_intermediate_look_leaves_phase_reason_and_sentence() {
        let serving = decision(Some(Phase::Voter), Some(Reason::Serving), "serves");
        let state = SeatState::after(None, &serving, || "noon".into()).unwrap();
        assert_eq!(
            (state.reason_name().as_str(), state.since.as_str()),
            ("Serving", "noon")
        );
        assert_eq!(
            SeatState::after(Some(&state), &decision(None, None, ""), String::new),
            None
        );
    }

    #[test]
    fn the_time_of_a_state_is_that_of_its_sentence() {
        let silent = decision(Some(Phase::Joining), Some(Reason::ApiServerSilent), "waits");
        let state = SeatState::after(None, &silent, || "noon".into()).unwrap();
        let refused = decision(Some(Phase::Joining), Some(Reason::ApiServerRefused), "waits");
        let same = SeatState::after(Some(&state), &refused, || "one".into()).unwrap();
        assert_eq!(
            (same.reason, same.since.as_str()),
            (Some(Reason::ApiServerRefused), "noon")
        );
        let other = decision(Some(Phase::Joining), Some(Reason::ApiServerRefused), "is refused");
        let next = SeatState::after(Some(&same), &other, || "one".into()).unwrap();
        assert_eq!(next.since, "one");
    }
}
