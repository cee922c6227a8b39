//! The state of the world: seats, volumes, etcd's members, the API server's objects, and who reaches whom.
//!
//! A state is small and hashed often, so what is large in it (member lists, memories, plans) is kept in
//! pools, and the state holds their numbers.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

/// The most seats that the model knows.
pub const SEATS: usize = 5;

/// A member's ID: its seat, and a number that tells the members of one seat apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u8);

impl Id {
    const PER_SEAT: u8 = 8;

    /// The member `number` of `seat`.
    #[must_use]
    pub fn new(seat: usize, number: u8) -> Self {
        Self(u8::try_from(seat).unwrap_or(0) * Self::PER_SEAT + number)
    }

    /// Its seat.
    #[must_use]
    pub fn seat(self) -> usize {
        usize::from(self.0 / Self::PER_SEAT)
    }

    /// Its place in a set of members.
    #[must_use]
    pub fn bit(self) -> u64 {
        1 << self.0
    }

    /// As a number.
    #[must_use]
    pub fn number(self) -> u64 {
        u64::from(self.0)
    }

    /// Back from a number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        let id = Self(u8::try_from(number).ok()?);
        (id.seat() < SEATS).then_some(id)
    }

    /// The members in a set.
    pub fn in_set(set: u64) -> impl Iterator<Item = Self> {
        (0..64u8).filter(move |n| set >> n & 1 == 1).map(Self)
    }

    /// The IDs that a seat can have.
    pub fn of(seat: usize) -> impl Iterator<Item = Self> {
        (0..Self::PER_SEAT).map(move |number| Self::new(seat, number))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = char::from(b'a' + self.0 % Self::PER_SEAT);
        write!(f, "{name}{}", self.seat())
    }
}

/// An entry of etcd's membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The member.
    pub id: Id,
    /// It has no vote.
    pub learner: bool,
    /// It has published its name.
    pub started: bool,
}

/// A membership, by ID.
pub type Config = Vec<Entry>;

/// What a seat's pod is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Pod {
    /// There is none.
    #[default]
    Gone,
    /// It runs.
    Up,
    /// It was deleted; its hook waits.
    Ending,
    /// A probe failed: the hook waits, and only the etcd container ends.
    Restarting,
}

/// A seat: its pod, its volume, its etcd and its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seat {
    /// Its pod.
    pub pod: Pod,
    /// etcd runs.
    pub running: bool,
    /// The member in the WAL's metadata.
    pub wal: Option<Id>,
    /// The member in the join record.
    pub join: Option<Id>,
    /// The member that was removed.
    pub tombstone: Option<Id>,
    /// A WAL was seen on this volume.
    pub wal_seen: bool,
    /// A start failed before there was a WAL.
    pub leftovers: bool,
    /// etcd cannot open the data.
    pub corrupt: bool,
    /// That happened on this volume before.
    pub corrupt_before: bool,
    /// The claim that this volume made, counted from 1.
    pub claim: u8,
    /// The membership that this volume's etcd has applied.
    pub view: u32,
    /// What the agent remembers.
    pub memory: u32,
    /// What the agent is about to do (0: nothing).
    pub plan: u32,
    /// How much of that is done.
    pub step: u8,
    /// What the agent read from the API server a moment ago, if it goes by that at its next look.
    pub read: Option<ApiRead>,
}

/// What the API server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApiRead {
    /// The seats that are wanted.
    pub wanted: u8,
    /// The StatefulSet is being deleted.
    pub deleting: bool,
    /// The birth record.
    pub record: Record,
    /// Its version.
    pub record_rev: u8,
}

impl Seat {
    /// The same pod with another volume.
    #[must_use]
    pub fn with_new_volume(self) -> Self {
        Self {
            pod: self.pod,
            memory: self.memory,
            plan: self.plan,
            step: self.step,
            ..Self::default()
        }
    }

    /// The same volume without a pod.
    #[must_use]
    pub fn without_pod(self) -> Self {
        Self {
            pod: Pod::Gone,
            running: false,
            memory: 0,
            plan: 0,
            step: 0,
            read: None,
            ..self
        }
    }

    /// The agent starts again.
    #[must_use]
    pub fn with_new_agent(self) -> Self {
        Self {
            memory: 0,
            plan: 0,
            step: 0,
            read: None,
            ..self
        }
    }

    /// The hook waits.
    #[must_use]
    pub fn hook_waits(&self) -> bool {
        matches!(self.pod, Pod::Ending | Pod::Restarting)
    }
}

/// The birth record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Record {
    /// There is none.
    #[default]
    Missing,
    /// Nobody has claimed.
    Unclaimed {
        /// Its creator knows that there are no older volumes.
        attested: bool,
    },
    /// Seat 0 claimed; claims are counted from 1.
    Claimed(u8),
    /// The cluster of that claim has served.
    Formed {
        /// The claim.
        claim: u8,
        /// The record names the volume that claimed.
        founder_known: bool,
    },
}

/// A change of membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Add as a learner.
    Add(Id),
    /// Give it a vote.
    Promote(Id),
    /// Remove it.
    Remove(Id),
}

impl Change {
    /// The member that changes.
    #[must_use]
    pub fn target(self) -> Id {
        match self {
            Self::Add(id) | Self::Promote(id) | Self::Remove(id) => id,
        }
    }

    /// The same change of another member.
    #[must_use]
    pub fn with(self, id: Id) -> Self {
        match self {
            Self::Add(_) => Self::Add(id),
            Self::Promote(_) => Self::Promote(id),
            Self::Remove(_) => Self::Remove(id),
        }
    }
}

/// What a step rests on: who ran, and who was cut off from whom, when its agent looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Grounds {
    /// The members that ran.
    pub ran: u64,
    /// The links that were cut.
    pub cut: u16,
    /// The seats that were wanted, as read.
    pub wanted: u8,
    /// Of the members to be removed, those that had no vote, or did not answer.
    pub exempt: u64,
}

/// A change in the leader's log that is not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pending {
    /// The change.
    pub change: Change,
    /// What it rests on.
    pub grounds: Grounds,
}

/// The whole world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// The seats.
    pub seats: [Seat; SEATS],
    /// The StatefulSet's replicas.
    pub replicas: u8,
    /// The target while the operator shrinks.
    pub shrink: Option<u8>,
    /// The StatefulSet is being deleted.
    pub deleting: bool,
    /// The seats whose agents get no answer from the API server.
    pub api_cut: u8,
    /// The EtcdCluster's status knows the cluster.
    pub published: bool,
    /// Which seats cannot reach which.
    pub cut: u16,
    /// The birth record.
    pub record: Record,
    /// Counts what happened to the record behind the agents' backs (a new resourceVersion).
    pub record_rev: u8,
    /// The claims made so far.
    pub claims: u8,
    /// The claim whose cluster exists (0: none).
    pub cluster: u8,
    /// The membership.
    pub config: u32,
    /// The leader; it may not know yet that it has lost its quorum.
    pub leader: Option<Id>,
    /// The change that the leader has proposed and not committed.
    pub pending: Option<Pending>,
    /// Learners that have caught up once: etcd's own promotion check asks no more.
    pub caught_up: u64,
    /// Members that ever had a WAL.
    pub born: u64,
    /// Faults that may still happen.
    pub faults: u8,
    /// Scalings that may still happen.
    pub scalings: u8,
}

impl State {
    /// Whether seats `a` and `b` reach each other.
    #[must_use]
    pub fn linked(&self, a: usize, b: usize) -> bool {
        linked(self.cut, a, b)
    }

    /// Whether `id`'s etcd runs.
    #[must_use]
    pub fn runs(&self, id: Id) -> bool {
        let seat = &self.seats[id.seat()];
        seat.running && seat.wal == Some(id)
    }

    /// Nobody gets an answer from the API server.
    pub const API_DOWN: u8 = (1 << SEATS) - 1;

    /// Whether the API server answers the agent of seat `i`.
    #[must_use]
    pub fn api_answers(&self, i: usize) -> bool {
        self.api_cut & 1 << i == 0
    }

    /// What the API server says to the agent of seat `i`, if it answers.
    #[must_use]
    pub fn api(&self, i: usize) -> Option<ApiRead> {
        self.api_answers(i).then(|| ApiRead {
            wanted: self.wanted(),
            deleting: self.deleting,
            record: self.record,
            record_rev: self.record_rev,
        })
    }

    /// The seats that are wanted.
    #[must_use]
    pub fn wanted(&self) -> u8 {
        self.shrink.unwrap_or(self.replicas)
    }

    /// The members that run.
    #[must_use]
    pub fn running(&self) -> u64 {
        let ids = self
            .seats
            .iter()
            .filter(|seat| seat.running)
            .filter_map(|seat| seat.wal);
        ids.fold(0, |set, id| set | id.bit())
    }
}

/// Whether seats `a` and `b` reach each other when the links `cut` are cut.
#[must_use]
pub fn linked(cut: u16, a: usize, b: usize) -> bool {
    a == b || cut & link(a, b) == 0
}

/// The link between two seats.
#[must_use]
pub fn link(a: usize, b: usize) -> u16 {
    let (low, high) = (a.min(b), a.max(b));
    1 << (high * (high - 1) / 2 + low)
}

/// A state's fingerprint.
#[must_use]
pub fn fingerprint(s: &State) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(s)
}
