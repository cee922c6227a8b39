//! The next step towards a cluster's size.
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
//! All of this is a function of [`SizeInput`]; nothing is read or written. No client.

use muster_api::Reason;
use muster_api::bounds::MAX_SIZE;
use muster_api::status::Quorum;
use muster_api::workload::Shrink;

use super::size_input::{SeatView, SetState, SizeInput};

#[cfg(test)]
mod tests;

/// A step towards the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SizeStep {
    Create,
    Keep,
    Grow,
    /// Ask the unwanted seats to leave.
    AnnounceShrink,
    /// Wait until the seats that stay are ready, and shrink afterwards.
    AwaitReady,
    /// Wait until the unwanted seats have left.
    AwaitMembers,
    /// Remove the pods of seats that have left.
    Lower,
    /// Remove all pods, and keep everything else.
    Hibernate,
    /// Add the pods again after a hibernation.
    Wake,
    /// Add pods that the quorum needs.
    Rescue,
}

impl SizeStep {
    /// The reason in Events and metrics. Conditions have their own for steps that last.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Create => Reason::Creating,
            Self::Keep => Reason::Steady,
            Self::Grow => Reason::Growing,
            Self::AnnounceShrink => Reason::ShrinkStarted,
            Self::AwaitReady => Reason::ShrinkWaiting,
            Self::AwaitMembers => Reason::Shrinking,
            Self::Lower => Reason::ShrinkCompleted,
            Self::Hibernate => Reason::Hibernating,
            Self::Wake => Reason::Waking,
            Self::Rescue => Reason::Rescuing,
        }
    }
}

/// The next step, and the values that the StatefulSet gets with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SizePlan {
    pub(crate) step: SizeStep,
    /// A size that somebody gave the StatefulSet and that becomes the
    /// EtcdCluster's.
    pub(crate) adopt: Option<u32>,
    /// The size in effect: the EtcdCluster's, or the adopted one.
    pub(crate) size: u32,
    /// The replicas to write.
    pub(crate) replicas: u32,
    /// The shrink to announce, or none.
    pub(crate) shrink: Option<Shrink>,
    /// The cause of the step, in one sentence.
    pub(crate) why: String,
}

/// A step and its values, decided for a size in effect.
struct SizeDecision {
    step: SizeStep,
    replicas: u32,
    shrink: Option<Shrink>,
    why: String,
}

impl SizeDecision {
    fn new(step: SizeStep, replicas: u32, why: impl Into<String>) -> Self {
        Self {
            step,
            replicas,
            shrink: None,
            why: why.into(),
        }
    }

    fn with_shrink(self, shrink: Option<Shrink>) -> Self {
        Self { shrink, ..self }
    }
}

/// Decides the next step.
pub(crate) fn plan(input: &SizeInput) -> SizePlan {
    let Some(set) = input.set else {
        return create(input);
    };
    let adopt = adopted(input.size, set);
    let size = adopt.unwrap_or(input.size);
    let sizing = Sizing { input, set, size };
    let decision = sizing.decide();
    SizePlan {
        step: decision.step,
        adopt: adopt.filter(|size| *size != input.size),
        size,
        replicas: decision.replicas,
        shrink: decision.shrink,
        why: decision.why,
    }
}

/// Pods that a StatefulSet left behind are taken over first, and leave in the
/// proper order if there are too many of them.
fn create(input: &SizeInput) -> SizePlan {
    let size = input.size;
    let taken_over = input.pods.last().map_or(0, |seat| seat + 1);
    let replicas = if size == 0 { 0 } else { size.max(taken_over) };
    let why = match (size, replicas) {
        (0, _) => "The cluster is created without pods, as its size is 0.".to_owned(),
        (_, 1) => "The cluster is created with 1 pod.".to_owned(),
        _ => format!("The cluster is created with {replicas} pods."),
    };
    SizePlan {
        step: SizeStep::Create,
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
    input: &'a SizeInput,
    set: SetState,
    size: u32,
}

impl Sizing<'_> {
    fn decide(&self) -> SizeDecision {
        let (size, replicas) = (self.size, self.set.replicas);
        match (size, replicas) {
            (0, 0) => SizeDecision::new(
                SizeStep::Keep,
                0,
                "The cluster hibernates: it has no pods, and all its data is kept.",
            ),
            (0, _) => SizeDecision::new(
                SizeStep::Hibernate,
                0,
                "The cluster goes to sleep: its pods end, and no member leaves.",
            ),
            (_, 0) => SizeDecision::new(SizeStep::Wake, size, format!("The cluster wakes with {}.", pods(size))),
            _ => self.awake(),
        }
    }

    fn awake(&self) -> SizeDecision {
        let (size, replicas) = (self.size, self.set.replicas);
        if let Some((voters, enough)) = self.stranded() {
            let need = enough.max(size);
            let why = format!(
                "The quorum is lost: the cluster has {voters} voters and {}; replicas are raised to {need}.",
                pods(replicas)
            );
            return SizeDecision::new(SizeStep::Rescue, need, why);
        }
        if size > replicas {
            let why = format!("The cluster grows from {replicas} to {size} pods.");
            return SizeDecision::new(SizeStep::Grow, size, why);
        }
        if size == replicas {
            let why = format!("The cluster has its {}.", pods(replicas));
            return SizeDecision::new(SizeStep::Keep, replicas, why);
        }
        self.shrink()
    }

    /// The number of voters that a surviving seat knows, if the pods there are
    /// cannot be a quorum of them, and the number of pods that can.
    fn stranded(&self) -> Option<(u32, u32)> {
        let replicas = self.set.replicas;
        let seats = &self.input.seats;
        // A member that is cut off from the others may take what it knows for what there is.
        let served = |(seat, view): (&u32, &SeatView)| view.quorum == Quorum::Ok && self.input.ready.contains(seat);
        if seats.iter().any(served) {
            return None;
        }
        let lost = seats
            .iter()
            .filter(|(seat, view)| **seat < replicas && view.quorum == Quorum::Lost);
        let voters = lost.map(|(_, view)| view.voters).max()?;
        let quorum = voters / 2 + 1;
        // The voters' seats need not be the lowest ones.
        let voter_seats = Some(&self.input.voters).filter(|seats| seats.len() == voters as usize);
        let last = voter_seats.and_then(|seats| seats.iter().nth(quorum as usize - 1));
        let enough = last.map_or(quorum, |seat| seat + 1).min(MAX_SIZE as u32);
        (enough > replicas).then_some((voters, enough))
    }

    fn shrink(&self) -> SizeDecision {
        let (size, replicas) = (self.size, self.set.replicas);
        if !self.input.formed {
            let why = format!("The cluster was never formed: replicas go from {replicas} to {size}.");
            return SizeDecision::new(SizeStep::Lower, size, why);
        }
        let announced = self.set.shrink.filter(|shrink| shrink.from() == replicas);
        let shrink = Shrink::new(replicas, size);
        if announced.is_some() && announced == shrink {
            let leaving: Vec<u32> = self.input.members.range(size..).copied().collect();
            if leaving.is_empty() {
                let why = format!("The unwanted members are gone: replicas go from {replicas} to {size}.");
                return SizeDecision::new(SizeStep::Lower, size, why);
            }
            let why = format!("{} before the pods end.", must_leave(&leaving));
            return SizeDecision::new(SizeStep::AwaitMembers, replicas, why).with_shrink(shrink);
        }
        // Fewer seats leave than was announced: that needs no waiting.
        let spared = announced.is_some_and(|announced| announced.to() < size);
        let unready: Vec<u32> = (0..size).filter(|seat| !self.is_sound(*seat)).collect();
        if !spared && !unready.is_empty() {
            let why = format!(
                "The cluster shrinks from {replicas} to {size} once the seats that stay are ready; {}.",
                not_ready(&unready)
            );
            return SizeDecision::new(SizeStep::AwaitReady, replicas, why).with_shrink(announced);
        }
        let why = format!("The cluster shrinks from {replicas} to {size}: members leave first, pods end afterwards.");
        let why = if replicas > MAX_SIZE as u32 {
            format!(
                "A StatefulSet of {replicas} replicas is not adopted, as a cluster has {MAX_SIZE} members at most. {why}"
            )
        } else {
            why
        };
        SizeDecision::new(SizeStep::AnnounceShrink, replicas, why).with_shrink(shrink)
    }

    /// True if the seat is ready and does not report a lost quorum: Kubernetes learns of that later.
    fn is_sound(&self, seat: u32) -> bool {
        let lost = self
            .input
            .seats
            .get(&seat)
            .is_some_and(|view| view.quorum == Quorum::Lost);
        self.input.ready.contains(&seat) && !lost
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
