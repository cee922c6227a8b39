//! The matrix: which cells are played, and why the others are not.

use super::fault::{FAULTS, Fault};
use super::step::{STEPS, Step};
use super::story::Story;

/// A cell that is played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) step: &'static Step,
    pub(crate) fault: Fault,
}

impl Case {
    pub(crate) fn name(self) -> String {
        format!("{}.{}", self.step.name, self.fault.name())
    }
}

/// The reason for not playing a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reason {
    /// The letter in the table.
    pub(crate) letter: char,
    /// The same in a sentence.
    pub(crate) why: &'static str,
}

const NOTHING_SENT: Reason = Reason {
    letter: 'a',
    why: "nothing is sent at this step, so that nothing can be lost",
};
const NO_ETCD_YET: Reason = Reason {
    letter: 'b',
    why: "no etcd runs yet anywhere",
};
const ALONE: Reason = Reason {
    letter: 'c',
    why: "the only member has nobody to hand leadership to",
};
const NO_OLDER_VOLUME: Reason = Reason {
    letter: 'd',
    why: "the birth record attests that the founding seat has no older volume",
};
const NO_POD_AFTER: Reason = Reason {
    letter: 'e',
    why: "the pod ends and its seat is not wanted: no pod comes after it, and to lose it is kill-both",
};
const QUORUM_GONE: Reason = Reason {
    letter: 'f',
    why: "with the seat that is gone, two of three volumes would be lost for good, and with them the quorum: not to be healed by a program",
};
const ALREADY: Reason = Reason {
    letter: 'g',
    why: "the story begins with it: the seat has just got that volume",
};

const MINUTES: Reason = Reason {
    letter: 'h',
    why: "each takes minutes, and what the others strike is struck in the story join",
};

/// All reasons, by letter.
pub(crate) const REASONS: [Reason; 8] = [
    NOTHING_SENT,
    NO_ETCD_YET,
    ALONE,
    NO_OLDER_VOLUME,
    NO_POD_AFTER,
    QUORUM_GONE,
    ALREADY,
    MINUTES,
];

/// The reason for not playing a cell; none if it is played.
pub(crate) fn reason(step: &Step, fault: Fault) -> Option<Reason> {
    let held = step.seam.moment().is_some();
    match (step.story, fault) {
        (_, Fault::Lose) if !held => Some(NOTHING_SENT),
        (Story::Found, Fault::PauseEtcd) if matches!(step.name, "found-claim" | "found-claimed" | "found-start") => {
            Some(NO_ETCD_YET)
        }
        (Story::Found, Fault::LeaderChange) => Some(ALONE),
        (Story::Found, Fault::StaleVolume) => Some(NO_OLDER_VOLUME),
        (Story::Hook, Fault::Wipe | Fault::StaleVolume | Fault::StaleDns) => Some(NO_POD_AFTER),
        (Story::Tidy, Fault::Wipe | Fault::StaleVolume) => Some(QUORUM_GONE),
        (Story::Rejoin, Fault::StaleVolume) => Some(ALREADY),
        (Story::Large, Fault::KillAgent | Fault::KillEtcd | Fault::KillBoth) => None,
        (Story::Large, _) => Some(MINUTES),
        _ => None,
    }
}

/// All cases, in the table's order.
pub(crate) fn cases() -> impl Iterator<Item = Case> {
    STEPS.iter().flat_map(|step| {
        let played = FAULTS.into_iter().filter(|fault| reason(step, *fault).is_none());
        played.map(|fault| Case { step, fault })
    })
}

/// The case of this name.
pub(crate) fn find(name: &str) -> Option<Case> {
    cases().find(|case| case.name() == name)
}

/// The cases that are quick enough for every change: each fault, and each story but two, which take
/// minutes.
pub(crate) const QUICK: &[&str] = &[
    "found-claimed.kill-agent",
    "found-claimed.wipe",
    "found-wal.kill-both",
    "join-added.lose",
    "join-added.kill-agent",
    "join-start.leader-change",
    "join-members.kill-etcd",
    "join-wal.wipe",
    "join-promote.pause-etcd",
    "replace-removed.lose",
    "hook-handed.kill-agent",
    "hook-removed.cut-api",
    "target-removed.stale-volume",
    "resume-ask.cut-peers",
    "resume-start.stale-dns",
    "rejoin-archived.kill-both",
    "tidy-remove.leader-change",
    "promote-ask.kill-agent",
    "republish-ask.lose",
    "join-add.slow",
    "join-start.no-dns",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        let names: BTreeSet<_> = cases().map(Case::name).collect();
        assert_eq!(names.len(), cases().count());
        assert!(names.iter().all(|name| find(name).is_some()));
    }

    #[test]
    fn the_quick_cases_exist_and_cover_every_fault_and_story() {
        let quick: Vec<_> = QUICK
            .iter()
            .map(|name| find(name).unwrap_or_else(|| panic!("{name}")))
            .collect();
        let faults: BTreeSet<_> = quick.iter().map(|case| case.fault).collect();
        let stories: BTreeSet<_> = quick.iter().map(|case| case.step.story).collect();
        assert_eq!(faults.len(), FAULTS.len());
        assert_eq!(stories.len(), 10);
    }
}
