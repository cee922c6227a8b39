//! The agent's memory between two decisions: mostly the time since which something has been so.

use std::collections::BTreeMap;
use std::mem::Discriminant;
use std::time::Duration;

use muster_reasons::Reason;

use crate::decision::{Action, Phase};
use crate::ids::{MemberId, Seat, Time};
use crate::timing::{BUSY_INTERVAL, LONGEST_ATTEMPT_PAUSE};

/// The last progress of a learner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LearnerWatch {
    /// Its applied index and the bytes of its snapshot and log files, as far as they are known.
    pub progress: (u64, u64),
    /// The time at which they last moved on.
    pub since: Time,
    /// The time at which its agent last reported such bytes.
    pub heard: Option<Time>,
    /// The number of times that the bytes became fewer.
    pub anew: u8,
}

/// Attempts at a step that is tried until it succeeds, and holds up nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempts {
    /// The time of the first one.
    pub first: Time,
    /// The time of the last one.
    pub last: Time,
}

impl Attempts {
    /// True if it is time for the next attempt: each pause is as long as all before it.
    pub(crate) fn again(self, now: Time) -> bool {
        let pause = self.last.since(self.first);
        now.since(self.last) >= pause.clamp(BUSY_INTERVAL, LONGEST_ATTEMPT_PAUSE)
    }

    /// Notes an attempt at `now`.
    pub(crate) fn note(attempts: &mut Option<Self>, now: Time) {
        attempts.get_or_insert(Self { first: now, last: now }).last = now;
    }
}

/// A wait, or a step that is tried again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wait {
    /// The state of the seat.
    pub phase: Phase,
    /// The cause; of a read that failed, one for all.
    pub reason: Reason,
    /// The kind of the first step, if it is one.
    pub step: Option<Discriminant<Action>>,
    /// The time since which all of these have been the same.
    pub since: Time,
}

impl Wait {
    /// The time for which it has lasted.
    pub(crate) fn lasted(self, now: Time) -> Duration {
        now.since(self.since)
    }
}

/// The learners of a seat that were evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Evictions {
    /// The number of evictions.
    pub count: u32,
    /// The learner that was evicted last.
    pub last: MemberId,
}

/// Fed back into the next decision, unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// The time at which this agent began to leave: it adds and promotes nobody any more.
    pub leaving_since: Option<Time>,
    /// The time since which the preStop hook has been waiting.
    pub hook_since: Option<Time>,
    /// The wait that the last decision was, if it was one.
    pub wait: Option<Wait>,
    /// True if older archives were pruned since etcd last waited for a plan. The shell says so, once it is done.
    pub pruned: bool,
    /// The attempts at that.
    pub prune_attempts: Option<Attempts>,
    /// The attempts to write the birth record.
    pub record_attempts: Option<Attempts>,
    /// The time as of which the birth record is known to say that the cluster is formed.
    pub formed_as_of: Option<Time>,
    /// The time since which this agent, beside a follower, has not known what the birth record says.
    pub record_unknown_since: Option<Time>,
    /// The time as of which the published members are known to be those of the local etcd.
    pub published_as_of: Option<Time>,
    /// The time at which this agent published the members last as a deputy.
    pub publish_tried: Option<Time>,
    /// The time at which the three notes that follow were last brought up to date.
    pub noted_at: Option<Time>,
    /// Members of unwanted seats, and the time since which they are known as such.
    pub unwanted_since: BTreeMap<MemberId, Time>,
    /// Learners that qualify for promotion, and the time since which they do.
    pub ready_since: BTreeMap<MemberId, Time>,
    /// The progress of learners.
    pub learners: BTreeMap<MemberId, LearnerWatch>,
    /// The evictions of each seat's learners.
    pub evictions: BTreeMap<Seat, Evictions>,
    /// The time since which there has been something for housekeeping to do.
    pub due_since: Option<Time>,
}
