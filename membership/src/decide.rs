//! The one entry: which situation is this?

use crate::decision::{Action, Decision, Draft, Phase};
use crate::ids::Time;
use crate::memory::Memory;
use crate::observed::{Launcher, Observed};
use crate::timing::{BUSY, REST, RETRY, TIME_TO_CONNECT};
use crate::{bootstrap, resume, running};

/// Decides what this seat's agent does next.
///
/// Total and deterministic: every observation has a decision, and the same one every time. Carry out
/// [`Decision::actions`] in order, stopping at the first that did not surely succeed; read
/// [`Decision::needs`]; then decide again, at [`Decision::next_check`] at the latest.
#[must_use]
pub fn decide(o: &Observed, memory: &Memory, now: Time) -> Decision {
    let mut memory = memory.clone();
    if o.hook_waits {
        memory.hook_since.get_or_insert(now);
    } else {
        memory.hook_since = None;
    }
    // It forbids to start etcd. One that runs goes on, and a pod without etcd may end, whatever its volume is.
    let forbids = o.launcher != Launcher::Running && !o.hook_waits;
    let draft = if let Some(problem) = o.disk.unreadable.as_ref().filter(|_| forbids) {
        Draft::wait(Phase::Refused, problem.clone(), REST)
    } else {
        match o.launcher {
            Launcher::Running => running::running(o, &mut memory, now),
            // An agent that has just started cannot tell yet whether etcd runs.
            Launcher::Absent
                if memory
                    .hook_since
                    .is_some_and(|since| now.since(since) < TIME_TO_CONNECT) =>
            {
                Draft::wait(
                    Phase::Waiting,
                    "the pod is ending; waiting for the etcd container to say whether etcd runs",
                    BUSY,
                )
            }
            _ if o.hook_waits => Draft::act(
                Phase::Waiting,
                "the pod is ending and etcd does not run: there is nothing to leave",
                [Action::ReleaseHook {
                    left: o.disk.tombstone.is_some(),
                }],
            ),
            Launcher::Absent => Draft::wait(Phase::Waiting, "waiting for the etcd container to start", BUSY),
            Launcher::Blocked => Draft::wait(
                Phase::Waiting,
                "waiting for the lock on the volume: another pod of this seat still holds it",
                RETRY,
            ),
            Launcher::AwaitingPlan { corrupt } => {
                memory.leaving_since = None;
                match o.disk.wal {
                    Some(wal) => resume::resume(o, wal, corrupt, now),
                    None => bootstrap::without_data(o, now),
                }
            }
        }
    };
    draft.decision(memory, now)
}
