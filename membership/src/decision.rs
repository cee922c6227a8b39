//! The core's answer: actions, what to read next, and why.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use muster_reasons::Reason;

use crate::ids::{ClusterId, MemberId, Time};
use crate::memory::Memory;

/// Something to read before the next decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// The StatefulSet, from the API server.
    Workload,
    /// The birth record, from the API server.
    Birth,
    /// The cluster ID in the EtcdCluster's status.
    StatusCluster,
    /// The members in the EtcdCluster's status.
    Published,
    /// The EndpointSlices: own entry and the pods of the other seats, and those pods' etcd Status and agent report.
    Peers,
    /// A fenced member list, preferably of this cluster.
    List(Option<ClusterId>),
}

/// The way in which etcd is to be started.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StartPlan {
    /// As the one member of a new cluster.
    New {
        /// The birth record's token.
        token: String,
    },
    /// As a registered member of a cluster, for the first time.
    Existing {
        /// The cluster's members by name, with their peer URLs byte for byte.
        initial_cluster: Vec<(String, String)>,
    },
    /// From the data on the volume; etcd ignores the cluster flags then.
    Resume,
}

/// The cause for which data is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArchiveReason {
    /// The member was removed from the cluster.
    Removed,
    /// etcd cannot open the data.
    Corrupt,
    /// The WAL that was here is gone.
    LostWal,
    /// A start failed before there was a WAL, under a member that is gone.
    Leftovers,
}

impl fmt::Display for ArchiveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "removed",
            Self::Corrupt => "corrupt",
            Self::LostWal => "lost-wal",
            Self::Leftovers => "leftovers",
        })
    }
}

/// A step to take. Each can be repeated, interrupted, or lose its reply without harm.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Claim the unclaimed birth record for this volume, by compare-and-swap on what was read.
    ClaimBirth {
        /// The token of the cluster to come.
        token: String,
        /// Its ID.
        cluster: ClusterId,
    },
    /// Note in the record claimed by this volume that the cluster has formed.
    MarkFormed,
    /// Write the missing record of this formed cluster.
    RepublishBirth {
        /// The cluster.
        cluster: ClusterId,
    },
    /// Publish the fenced members and the leader in the EtcdCluster's status, if it is as it was read.
    PublishMembers,
    /// Start etcd.
    Start(StartPlan),
    /// Add this seat as a learner and note the member on the volume before anything else.
    AddLearner,
    /// Promote a learner, asked of the leader.
    Promote {
        /// The learner.
        member: MemberId,
    },
    /// Remove a member.
    Remove {
        /// The member.
        member: MemberId,
    },
    /// Hand leadership on.
    MoveLeader {
        /// A live voter of a wanted seat.
        to: MemberId,
    },
    /// Note on the volume that its member was removed.
    Tombstone,
    /// Note on the volume that a WAL was seen.
    NoteWal,
    /// Set the volume's data aside and give the volume a new identity.
    Archive(ArchiveReason),
    /// Older archives may go: the seat votes. (What a joiner's database has no room beside is for the shell to see.)
    PruneArchives,
    /// Tell the waiting preStop hook that it may return.
    ReleaseHook {
        /// This seat has left the cluster.
        left: bool,
    },
}

/// The state of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Waits; the sentence says for what.
    Waiting,
    /// Founds the cluster.
    Founding,
    /// Joins it.
    Joining,
    /// Runs without a vote.
    Learner,
    /// Runs with a vote.
    Voter,
    /// Leaves.
    Leaving,
    /// Has left.
    Left,
    /// Will not start what it found, until a person decides.
    Refused,
    /// Every volume of the cluster is gone.
    Lost,
}

/// The next actions, the next reads, and why, in one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The steps, in order.
    pub actions: Vec<Action>,
    /// The values to read before the next decision.
    pub needs: BTreeSet<Need>,
    /// The time of the next decision at the latest.
    pub next_check: Time,
    /// The state of the seat; `None` leaves it as it was (an intermediate look).
    pub phase: Option<Phase>,
    /// The cause in one word of the table; `None` as for the phase.
    pub reason: Option<Reason>,
    /// The cause in one sentence.
    pub why: String,
    /// Fed back into the next decision.
    pub memory: Memory,
}

/// A decision in the making: the stages fill it in.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) actions: Vec<Action>,
    pub(crate) needs: BTreeSet<Need>,
    pub(crate) pause: Duration,
    pub(crate) phase: Option<Phase>,
    pub(crate) reason: Option<Reason>,
    pub(crate) why: String,
}

impl Draft {
    /// Look at `needs` now; decide then.
    pub(crate) fn look(needs: impl IntoIterator<Item = Need>) -> Self {
        Self {
            actions: vec![],
            needs: needs.into_iter().collect(),
            pause: Duration::ZERO,
            phase: None,
            reason: None,
            why: String::new(),
        }
    }

    /// Do nothing for `pause`.
    pub(crate) fn wait(phase: Phase, reason: Reason, why: impl Into<String>, pause: Duration) -> Self {
        Self {
            actions: vec![],
            needs: BTreeSet::new(),
            pause,
            phase: Some(phase),
            reason: Some(reason),
            why: why.into(),
        }
    }

    /// Act, and look again soon.
    pub(crate) fn act(
        phase: Phase,
        reason: Reason,
        why: impl Into<String>,
        actions: impl IntoIterator<Item = Action>,
    ) -> Self {
        Self {
            actions: actions.into_iter().collect(),
            ..Self::wait(phase, reason, why, crate::timing::BUSY_INTERVAL)
        }
    }

    /// Read `needs` again before the next decision.
    pub(crate) fn reading(mut self, needs: impl IntoIterator<Item = Need>) -> Self {
        self.needs.extend(needs);
        self
    }

    /// Decide again after `pause` at the latest.
    pub(crate) fn within(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    pub(crate) fn decision(self, memory: Memory, now: Time) -> Decision {
        Decision {
            actions: self.actions,
            needs: self.needs,
            next_check: now.after(self.pause),
            phase: self.phase,
            reason: self.reason,
            why: self.why,
            memory,
        }
    }
}

/// The draft of a stage that returns early with `?`.
pub(crate) fn either(stage: Result<Draft, Draft>) -> Draft {
    stage.unwrap_or_else(|early| early)
}
