//! The agent's memory between two decisions: mostly the time since which something has been so.

use std::collections::BTreeMap;

use crate::ids::{MemberId, Seat, Time};

/// The last progress of a learner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LearnerWatch {
    /// Its applied index and the bytes of its snapshot files, when they last moved.
    pub progress: (u64, u64),
    /// The time at which they moved.
    pub since: Time,
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
    /// True if older archives were pruned since this agent started.
    pub pruned: bool,
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
