//! What the agent remembers between two decisions: mostly since when something has been so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{MemberId, Seat, Time};

/// How long a learner has been without progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LearnerWatch {
    /// Its applied index and the bytes of its snapshot files, when they last moved.
    pub progress: (u64, u64),
    /// When that was.
    pub since: Time,
}

/// The learners of a seat that were evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Evictions {
    /// How many.
    pub count: u32,
    /// The last of them.
    pub last: MemberId,
}

/// Fed back into the next decision, unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Memory {
    /// This agent has begun to leave: it adds and promotes nobody any more.
    pub leaving_since: Option<Time>,
    /// Since when the preStop hook has been waiting.
    pub hook_since: Option<Time>,
    /// Older archives were pruned since this agent started.
    pub pruned: bool,
    /// The record is known to say that the cluster is formed, as of then.
    pub formed_as_of: Option<Time>,
    /// When the three notes that follow were last brought up to date.
    pub noted_at: Option<Time>,
    /// Members of unwanted seats, and since when they are known as such.
    pub unwanted_since: BTreeMap<MemberId, Time>,
    /// Learners that qualify for promotion, and since when.
    pub ready_since: BTreeMap<MemberId, Time>,
    /// The progress of learners.
    pub learners: BTreeMap<MemberId, LearnerWatch>,
    /// The evictions of each seat's learners.
    pub evictions: BTreeMap<Seat, Evictions>,
    /// Since when there has been something for housekeeping to do.
    pub due_since: Option<Time>,
}
