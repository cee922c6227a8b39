//! The schedule: made of a seed alone, so that a run can be repeated.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::cluster::By;

/// The sizes that are asked for; 3 most often.
const SIZES: [u32; 8] = [1, 2, 3, 3, 3, 4, 5, 5];
/// The number of nodes of the bed.
const NODES: u32 = 3;

/// An action on the cluster. Seats are counted modulo its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Scale(u32, By),
    /// A pod is deleted.
    DeletePod(u32),
    /// A pod is deleted without a word to it.
    ForceDeletePod(u32),
    /// The processes of a container get SIGKILL.
    Kill(u32, &'static str),
    /// The processes of a container stop for a while.
    Pause(u32, &'static str, Duration),
    /// A pod is cut off from its peers for a while.
    Isolate(u32, Duration),
    /// A pod is cut off from the API server for a while.
    NoApi(u32, Duration),
    /// The operator's pod is deleted.
    DeleteOperator,
    /// The API server is away for a while.
    ApiDown(Duration),
    /// A node loses power, and has it again a while later.
    NodeDown(u32, Duration),
    /// A seat's volume is deleted, if the cluster is well.
    LoseVolume(u32),
}

/// Something that happens at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The time from the start.
    pub(super) at: Duration,
    /// The action at that time.
    pub(super) action: Action,
}

/// A schedule of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    /// The seed of which it was made.
    pub(super) seed: u64,
    /// Its length.
    pub(super) length: Duration,
    /// The events, in order.
    pub(super) events: Vec<Event>,
}

impl Schedule {
    /// The schedule of this seed.
    pub(super) fn new(seed: u64, length: Duration) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut events = Vec::new();
        let mut at = Duration::from_secs(5);
        while at + Duration::from_secs(15) < length {
            events.push(Event {
                at,
                action: action(&mut random),
            });
            at += Duration::from_millis(random.random_range(1_000..14_000));
        }
        Self { seed, length, events }
    }
}

fn action(random: &mut StdRng) -> Action {
    let seat = random.random_range(0..60);
    let span = Duration::from_millis(random.random_range(1_000..25_000));
    let container = if random.random_bool(0.5) { "agent" } else { "etcd" };
    match random.random_range(0..100) {
        0..40 => {
            let by = [By::Patch, By::Scale, By::StatefulSet][random.random_range(0..3)];
            Action::Scale(SIZES[random.random_range(0..SIZES.len())], by)
        }
        40..50 => Action::DeletePod(seat),
        50..55 => Action::ForceDeletePod(seat),
        55..68 => Action::Kill(seat, container),
        68..78 => Action::Pause(seat, container, span),
        78..84 => Action::Isolate(seat, span),
        84..88 => Action::NoApi(seat, span),
        88..92 => Action::DeleteOperator,
        92..94 => Action::ApiDown(span),
        94..96 => Action::NodeDown(1 + seat % NODES, span),
        _ => Action::LoseVolume(seat),
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scale(size, by) => write!(f, "scale to {size} by {by:?}"),
            Self::DeletePod(seat) => write!(f, "delete pod {seat}"),
            Self::ForceDeletePod(seat) => write!(f, "force-delete pod {seat}"),
            Self::Kill(seat, container) => write!(f, "kill {container} {seat}"),
            Self::Pause(seat, container, span) => write!(f, "pause {container} {seat} for {} ms", span.as_millis()),
            Self::Isolate(seat, span) => write!(f, "isolate {seat} for {} ms", span.as_millis()),
            Self::NoApi(seat, span) => write!(f, "no API server for {seat} for {} ms", span.as_millis()),
            Self::DeleteOperator => write!(f, "delete the operator's pod"),
            Self::ApiDown(span) => write!(f, "no API server for {} ms", span.as_millis()),
            Self::NodeDown(node, span) => write!(f, "node {node} without power for {} ms", span.as_millis()),
            Self::LoseVolume(seat) => write!(f, "lose the volume of {seat}"),
        }
    }
}

impl Action {
    /// The kind of action, for counting.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Scale(..) => "scale",
            Self::DeletePod(_) => "delete pod",
            Self::ForceDeletePod(_) => "force-delete pod",
            Self::Kill(_, "etcd") => "kill etcd",
            Self::Kill(..) => "kill agent",
            Self::Pause(_, "etcd", _) => "pause etcd",
            Self::Pause(..) => "pause agent",
            Self::Isolate(..) => "isolate from peers",
            Self::NoApi(..) => "isolate from the API server",
            Self::DeleteOperator => "delete operator",
            Self::ApiDown(_) => "API server down",
            Self::NodeDown(..) => "node down",
            Self::LoseVolume(_) => "lose volume",
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, {} s", self.seed, self.length.as_secs())?;
        self.events
            .iter()
            .try_for_each(|event| writeln!(f, "{:8.1} s  {}", event.at.as_secs_f64(), event.action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_schedule() {
        let hour = Duration::from_secs(3600);
        assert_eq!(Schedule::new(7, hour), Schedule::new(7, hour));
        assert_ne!(Schedule::new(7, hour).events, Schedule::new(8, hour).events);
    }

    #[test]
    fn a_longer_schedule_begins_like_the_shorter_one() {
        let (short, long) = (
            Schedule::new(3, Duration::from_secs(300)),
            Schedule::new(3, Duration::from_secs(600)),
        );
        assert_eq!(long.events[..short.events.len()], short.events[..]);
    }
}
