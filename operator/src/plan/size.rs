//! How many pods a cluster gets next.
//!
//! ```text
//!   size > replicas   grow at once: a new pod registers itself
//!   size < replicas   announce ─▶ the unwanted seats leave while their pods
//!                     live ─▶ published members show them gone ─▶ lower
//!   size = 0          lower at once: nobody leaves, everything is kept
//! ```
//!
//! Somebody who scales the StatefulSet directly is taken at their word: the
//! new value becomes the cluster's size, unless that changed as well.
//!
//! Everything here is a function of what was read; nothing is done.

use std::collections::{BTreeMap, BTreeSet};

use muster_api::bounds::MAX_SIZE;
use muster_api::status::Quorum;
use muster_api::workload::{self, Shrink};

#[cfg(test)]
mod tests;

/// What sizing depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Situation {
    /// The size that the EtcdCluster asks for.
    pub size: u32,
    /// The StatefulSet, if there is one.
    pub set: Option<SetState>,
    /// Whether the etcd cluster may exist already.
    pub formed: bool,
    /// The seats of the published members.
    pub members: BTreeSet<u32>,
    /// Those of them that vote.
    pub voters: BTreeSet<u32>,
    /// What the agents of existing pods report.
    pub seats: BTreeMap<u32, SeatView>,
    /// The seats whose pods exist.
    pub pods: BTreeSet<u32>,
    /// The seats whose pods are ready and are not being deleted.
    pub ready: BTreeSet<u32>,
}

/// A StatefulSet, as far as its size is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetState {
    /// Its replicas.
    pub replicas: u32,
    /// What the operator wrote last, if that is still known.
    pub applied: Option<Applied>,
    /// The shrink that is announced on it.
    pub shrink: Option<Shrink>,
}

/// What the operator wrote last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The replicas it wrote.
    pub replicas: u32,
    /// The EtcdCluster's size when it wrote them.
    pub size: u32,
}

/// What a seat's agent reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatView {
    /// Whether it sees a quorum.
    pub quorum: Quorum,
    /// How many voters it knows of.
    pub voters: u32,
}

/// What to do about the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is no StatefulSet yet.
    Create,
    /// Nothing.
    Keep,
    /// Add pods.
    Grow,
    /// Let the unwanted seats leave.
    AnnounceShrink,
    /// Shrinking has to wait until the seats that stay are ready.
    AwaitReady,
    /// The unwanted seats are leaving.
    AwaitMembers,
    /// The unwanted seats have left: remove their pods.
    Lower,
    /// Remove all pods, and keep everything else.
    Hibernate,
    /// Bring the pods back.
    Wake,
    /// Bring back pods that the quorum needs.
    Rescue,
}

impl Step {
    /// The step's name, for events, conditions and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "Creating",
            Self::Keep => "Steady",
            Self::Grow => "Growing",
            Self::AnnounceShrink => "ShrinkStarted",
            Self::AwaitReady => "ShrinkWaiting",
            Self::AwaitMembers => "Shrinking",
            Self::Lower => "ShrinkCompleted",
            Self::Hibernate => "Hibernating",
            Self::Wake => "Waking",
            Self::Rescue => "Rescuing",
        }
    }
}

/// What the StatefulSet is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What is done.
    pub step: Step,
    /// A size that somebody gave the StatefulSet and that becomes the
    /// EtcdCluster's.
    pub adopt: Option<u32>,
    /// The size that holds.
    pub size: u32,
    /// The replicas to write.
    pub replicas: u32,
    /// The shrink to announce, or none.
    pub shrink: Option<Shrink>,
    /// Why, in one sentence.
    pub why: String,
}

impl Plan {
    /// How many seats the StatefulSet wants once this is written.
    pub fn wanted(&self) -> u32 {
        workload::wanted_seats(self.replicas, self.shrink)
    }
}

/// Decides the next step.
pub fn plan(situation: &Situation) -> Plan {
    let Some(set) = situation.set else {
        return create(situation);
    };
    let adopt = adopted(situation.size, set);
    let size = adopt.unwrap_or(situation.size);
    let sizing = Sizing { situation, set, size };
    let (step, replicas, shrink, why) = sizing.decide();
    Plan {
        step,
        adopt: adopt.filter(|size| *size != situation.size),
        size,
        replicas,
        shrink,
        why,
    }
}

/// Pods that a StatefulSet left behind are taken over first, and leave in the
/// proper order if there are too many of them.
fn create(situation: &Situation) -> Plan {
    let size = situation.size;
    let taken_over = situation.pods.last().map_or(0, |seat| seat + 1);
    let replicas = if size == 0 { 0 } else { size.max(taken_over) };
    let why = match (size, replicas) {
        (0, _) => "The cluster is created without pods, as its size is 0.".to_owned(),
        (_, 1) => "The cluster is created with 1 pod.".to_owned(),
        _ => format!("The cluster is created with {replicas} pods."),
    };
    Plan {
        step: Step::Create,
        adopt: None,
        size,
        replicas,
        shrink: None,
        why,
    }
}

/// The size that somebody gave the StatefulSet, if it counts.
fn adopted(size: u32, set: SetState) -> Option<u32> {
    let applied = set.applied?;
    let scaled = set.replicas != applied.replicas;
    let resized = size != applied.size;
    (scaled && !resized && set.replicas <= MAX_SIZE as u32).then_some(set.replicas)
}

struct Sizing<'a> {
    situation: &'a Situation,
    set: SetState,
    size: u32,
}

type Verdict = (Step, u32, Option<Shrink>, String);

impl Sizing<'_> {
    fn decide(&self) -> Verdict {
        let (size, replicas) = (self.size, self.set.replicas);
        match (size, replicas) {
            (0, 0) => (
                Step::Keep,
                0,
                None,
                "The cluster hibernates: it has no pods, and all its data is kept.".into(),
            ),
            (0, _) => (
                Step::Hibernate,
                0,
                None,
                "The cluster goes to sleep: its pods end, and no member leaves.".into(),
            ),
            (_, 0) => (
                Step::Wake,
                size,
                None,
                format!("The cluster wakes with {}.", pods(size)),
            ),
            _ => self.awake(),
        }
    }

    fn awake(&self) -> Verdict {
        let (size, replicas) = (self.size, self.set.replicas);
        if let Some((voters, enough)) = self.stranded() {
            let need = enough.max(size);
            return (
                Step::Rescue,
                need,
                None,
                format!(
                    "The quorum is lost: the cluster has {voters} voters and {}; replicas are raised to {need}.",
                    pods(replicas)
                ),
            );
        }
        if size > replicas {
            return (
                Step::Grow,
                size,
                None,
                format!("The cluster grows from {replicas} to {size} pods."),
            );
        }
        if size == replicas {
            return (
                Step::Keep,
                replicas,
                None,
                format!("The cluster has its {}.", pods(replicas)),
            );
        }
        self.shrink()
    }

    /// The number of voters that a surviving seat knows, if the pods there are
    /// cannot be a quorum of them, and how many pods can.
    fn stranded(&self) -> Option<(u32, u32)> {
        let replicas = self.set.replicas;
        let seats = &self.situation.seats;
        // A member that is cut off from the others may take what it knows for what there is.
        let served = |(seat, view): (&u32, &SeatView)| view.quorum == Quorum::Ok && self.situation.ready.contains(seat);
        if seats.iter().any(served) {
            return None;
        }
        let lost = seats
            .iter()
            .filter(|(seat, view)| **seat < replicas && view.quorum == Quorum::Lost);
        let voters = lost.map(|(_, view)| view.voters).max()?;
        let quorum = voters / 2 + 1;
        // The voters' seats need not be the lowest ones.
        let known = Some(&self.situation.voters).filter(|seats| seats.len() == voters as usize);
        let last = known.and_then(|seats| seats.iter().nth(quorum as usize - 1));
        let enough = last.map_or(quorum, |seat| seat + 1).min(MAX_SIZE as u32);
        (enough > replicas).then_some((voters, enough))
    }

    fn shrink(&self) -> Verdict {
        let (size, replicas) = (self.size, self.set.replicas);
        let lower = |why: String| (Step::Lower, size, None, why);
        if !self.situation.formed {
            return lower(format!(
                "The cluster was never formed: replicas go from {replicas} to {size}."
            ));
        }
        let announced = self.set.shrink.filter(|shrink| shrink.from() == replicas);
        let shrink = Shrink::new(replicas, size);
        if announced.is_some() && announced == shrink {
            let leaving: Vec<u32> = self.situation.members.range(size..).copied().collect();
            if leaving.is_empty() {
                return lower(format!(
                    "The unwanted members are gone: replicas go from {replicas} to {size}."
                ));
            }
            return (
                Step::AwaitMembers,
                replicas,
                shrink,
                format!("{} before the pods end.", must_leave(&leaving)),
            );
        }
        // Fewer seats leave than was announced: that needs no waiting.
        let spared = announced.is_some_and(|announced| announced.to() < size);
        let unready: Vec<u32> = (0..size).filter(|seat| !self.is_sound(*seat)).collect();
        if !spared && !unready.is_empty() {
            return (
                Step::AwaitReady,
                replicas,
                announced,
                format!(
                    "The cluster shrinks from {replicas} to {size} once the seats that stay are ready; {}.",
                    not_ready(&unready)
                ),
            );
        }
        let why = format!("The cluster shrinks from {replicas} to {size}: members leave first, pods end afterwards.");
        let why = if replicas > MAX_SIZE as u32 {
            format!(
                "A StatefulSet of {replicas} replicas is not adopted, as a cluster has {MAX_SIZE} members at most. {why}"
            )
        } else {
            why
        };
        (Step::AnnounceShrink, replicas, shrink, why)
    }

    /// Ready, and not without a quorum: Kubernetes learns of that later.
    fn is_sound(&self, seat: u32) -> bool {
        let lost = self
            .situation
            .seats
            .get(&seat)
            .is_some_and(|view| view.quorum == Quorum::Lost);
        self.situation.ready.contains(&seat) && !lost
    }
}

fn pods(count: u32) -> String {
    if count == 1 {
        "1 pod".to_owned()
    } else {
        format!("{count} pods")
    }
}

fn must_leave(seats: &[u32]) -> String {
    match seats {
        [seat] => format!("The member of seat {seat} must leave"),
        _ => format!("The members of seats {} must leave", listed(seats)),
    }
}

fn not_ready(seats: &[u32]) -> String {
    match seats {
        [seat] => format!("seat {seat} is not"),
        _ => format!("seats {} are not", listed(seats)),
    }
}

fn listed(seats: &[u32]) -> String {
    let texts: Vec<String> = seats.iter().map(ToString::to_string).collect();
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => texts.concat(),
    }
}
