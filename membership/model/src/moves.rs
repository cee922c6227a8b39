//! The moves: everything that can happen next.

use crate::bugs::Bug;
use crate::etcd::HealthRule;
use crate::state::{Id, State};

/// The settings of one exploration.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The number of seats.
    pub seats: usize,
    /// etcd's health check for an add.
    pub health: HealthRule,
    /// True if there is an operator: it makes the record, and the EtcdCluster's status knows the cluster.
    pub operator: bool,
    /// True if an agent may know something older from the API server than from etcd.
    pub stale_reads: bool,
    /// The deliberate bug, if any.
    pub bug: Option<Bug>,
}

/// A single event: a turn of an agent, a fault, or a step of etcd or Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Move {
    /// An agent reads from the API server; it goes by that at its next look.
    Read(usize),
    /// An agent looks, and decides.
    Look(usize),
    /// An agent takes the next step of what it decided.
    Step(usize, Outcome),
    /// A long time passes, in which everybody goes on looking: every patience runs out.
    Wait,
    /// A fault: an agent crashes and starts again.
    AgentCrash(usize),
    /// A fault: etcd crashes.
    EtcdCrash(usize),
    /// A fault: a probe fails, so the hook runs and etcd's container starts again.
    ProbeFails(usize),
    /// A fault: the pod is evicted.
    Evict(usize),
    /// A fault: the pod is gone at once, without its hook.
    PodDies(usize),
    /// A fault: the pod and its volume are gone.
    VolumeLost(usize),
    /// A fault: the data directory is gone, but not the volume's identity.
    WalLost(usize),
    /// A fault: etcd ends, and cannot open its data again.
    Corrupted(usize),
    /// A fault: two seats do not reach each other.
    Cut(usize, usize),
    /// A fault: a seat reaches no other.
    Isolate(usize),
    /// All cuts end: every seat reaches every other again.
    Heal,
    /// A fault: the API server does not answer.
    ApiDown,
    /// A fault: the API server does not answer one seat's agent.
    ApiCut(usize),
    /// The API server answers everybody again.
    ApiUp,
    /// The leader's agent writes the cluster's ID into the EtcdCluster's status.
    Publish,
    /// A fault: the birth record is deleted.
    RecordDeleted,
    /// The operator, or a person with the manifest, makes the record again.
    RecordMade,
    /// A fault: the StatefulSet is deleted.
    WorkloadDeleted,
    /// The StatefulSet's replicas are set by somebody.
    Scale(u8),
    /// The operator writes its target.
    Shrink(u8),
    /// The operator lowers the replicas: the seats above the target have no members any more.
    Shrunk,
    /// The StatefulSet's controller makes a pod (it deletes those that are not wanted at once).
    PodMade(usize),
    /// A member becomes the leader; what the last leader had proposed is in its log, or is not.
    Elect(Id, bool),
    /// A leader notices that it has no quorum.
    StepDown,
    /// The change that the leader has proposed commits after all.
    Commit,
    /// A learner has caught up.
    CatchUp(Id),
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The step succeeds.
    Done,
    /// The step is refused, or cannot be asked for.
    Refused,
    /// A fault, for requests to etcd: it commits, and the reply is lost.
    ReplyLost,
    /// The step is in the leader's log when the agent gives up waiting: it may commit later. A fault, if the leader
    /// could have committed it.
    Late,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [Self::Done, Self::Refused, Self::ReplyLost, Self::Late];
}

/// True if a move is a fault that is counted here (a change of leader without need is counted where it happens,
/// as are replies that are lost).
#[must_use]
pub fn is_fault(m: Move) -> bool {
    matches!(
        m,
        Move::AgentCrash(_)
            | Move::EtcdCrash(_)
            | Move::ProbeFails(_)
            | Move::Evict(_)
            | Move::PodDies(_)
            | Move::VolumeLost(_)
            | Move::WalLost(_)
            | Move::Corrupted(_)
            | Move::Cut(..)
            | Move::Isolate(_)
            | Move::ApiDown
            | Move::ApiCut(_)
            | Move::RecordDeleted
            | Move::WorkloadDeleted
    )
}

/// A way into a bad state.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The first state.
    pub start: State,
    /// The moves, in order.
    pub moves: Vec<Move>,
    /// The invariant that is broken in the last state.
    pub broken: String,
}
