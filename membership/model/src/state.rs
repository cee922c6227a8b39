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

    /// The ID as a number, as the core has it.
    #[must_use]
    pub fn number(self) -> u64 {
        u64::from(self.0)
    }

    /// The ID of a number; none if no seat can have it.
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
    /// True if it has no vote.
    pub learner: bool,
    /// True if it has published its name.
    pub started: bool,
}

/// A membership, by ID.
pub type Config = Vec<Entry>;

/// The state of a seat's pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Pod {
    /// No pod.
    #[default]
    Gone,
    /// The pod runs.
    Up,
    /// The pod was deleted; its hook waits.
    Ending,
    /// A probe of the pod failed: the hook waits, and only the etcd container ends.
    Restarting,
}

/// A seat: its pod, its volume, its etcd and its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seat {
    /// Its pod.
    pub pod: Pod,
    /// True if etcd runs.
    pub running: bool,
    /// The member in the WAL's metadata.
    pub wal: Option<Id>,
    /// The member in the join record.
    pub join: Option<Id>,
    /// The member that was removed.
    pub tombstone: Option<Id>,
    /// True if a WAL was seen on this volume.
    pub wal_seen: bool,
    /// True if a start failed before there was a WAL.
    pub leftovers: bool,
    /// True if etcd cannot open the data.
    pub corrupt: bool,
    /// True if that happened on this volume before.
    pub corrupt_before: bool,
    /// The claim that this volume made, counted from 1.
    pub claim: u8,
    /// The membership that this volume's etcd has applied.
    pub view: u32,
    /// The agent's memory.
    pub memory: u32,
    /// The agent's plan (0: none).
    pub plan: u32,
    /// The number of the plan's steps that are done.
    pub step: u8,
    /// The agent's last answer from the API server, if it goes by that at its next look.
    pub read: Option<ApiRead>,
}

/// An answer of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApiRead {
    /// The seats that are wanted.
    pub wanted: u8,
    /// True if the StatefulSet is being deleted.
    pub deleting: bool,
    /// The birth record.
    pub record: Record,
    /// Its version.
    pub record_rev: u8,
}

impl Seat {
    /// The seat with the same pod and another volume.
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

    /// The seat with the same volume and no pod.
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

    /// The seat after a restart of its agent.
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

    /// True if the hook waits.
    #[must_use]
    pub fn hook_waits(&self) -> bool {
        matches!(self.pod, Pod::Ending | Pod::Restarting)
    }
}

/// The birth record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Record {
    /// No record.
    #[default]
    Missing,
    /// A record that nobody has claimed.
    Unclaimed {
        /// True if its creator knows that there are no older volumes.
        attested: bool,
    },
    /// The record that seat 0 has claimed; claims are counted from 1.
    Claimed(u8),
    /// The record of a cluster that has served.
    Formed {
        /// The claim.
        claim: u8,
        /// True if the record names the volume that claimed.
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

/// The grounds of a step: who ran, and who was cut off from whom, when its agent looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Grounds {
    /// The members that ran.
    pub ran: u64,
    /// The links that were cut.
    pub cut: u16,
    /// The seats that were wanted, as read.
    pub wanted: u8,
    /// The members to be removed that had no vote, or did not answer.
    pub exempt: u64,
}

/// A change in the leader's log that is not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pending {
    /// The change.
    pub change: Change,
    /// Its grounds.
    pub grounds: Grounds,
}

/// The state of the whole world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// The seats.
    pub seats: [Seat; SEATS],
    /// The StatefulSet's replicas.
    pub replicas: u8,
    /// The target while the operator shrinks.
    pub shrink: Option<u8>,
    /// True if the StatefulSet is being deleted.
    pub deleting: bool,
    /// The seats whose agents get no answer from the API server.
    pub api_cut: u8,
    /// True if the EtcdCluster's status knows the cluster.
    pub published: bool,
    /// The links that are cut.
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
    /// True if seats `a` and `b` reach each other.
    #[must_use]
    pub fn linked(&self, a: usize, b: usize) -> bool {
        linked(self.cut, a, b)
    }

    /// True if `id`'s etcd runs.
    #[must_use]
    pub fn runs(&self, id: Id) -> bool {
        let seat = &self.seats[id.seat()];
        seat.running && seat.wal == Some(id)
    }

    /// The value of `api_cut` when nobody gets an answer from the API server.
    pub const API_DOWN: u8 = (1 << SEATS) - 1;

    /// True if the API server answers the agent of seat `i`.
    #[must_use]
    pub fn api_answers(&self, i: usize) -> bool {
        self.api_cut & 1 << i == 0
    }

    /// The API server's answer to the agent of seat `i`, if there is one.
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

/// True if seats `a` and `b` reach each other when the links `cut` are cut.
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
