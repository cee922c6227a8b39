//! The one entry: the situation, and the module that decides in it.

use muster_reasons::Reason;

use crate::decision::{Action, Decision, Draft, Phase};
use crate::ids::Time;
use crate::memory::Memory;
use crate::observed::{Launcher, Observed};
use crate::timing::{BUSY_INTERVAL, REST_INTERVAL, RETRY_INTERVAL, TIME_TO_CONNECT};
use crate::{bootstrap, failed_starts, pace, resume, running};

/// Decides what this seat's agent does next.
///
/// Total and deterministic: every observation has a decision, and the same one every time. Carry out
/// [`Decision::actions`] in order, stopping at the first that did not surely succeed; read
/// [`Decision::needs`]; then decide again, at [`Decision::next_check`] at the latest.
#[must_use]
pub fn decide(observed: &Observed, memory: &Memory, now: Time) -> Decision {
    let mut memory = memory.clone();
    if observed.hook_waits {
        memory.hook_since.get_or_insert(now);
    } else {
        memory.hook_since = None;
    }
    // A volume that cannot be read forbids to start etcd. An etcd that runs goes on, and a pod without etcd may end,
    // whatever its volume is.
    let forbids = observed.launcher != Launcher::Running && !observed.hook_waits;
    let mut draft = if let Some(problem) = observed.disk.unreadable.as_ref().filter(|_| forbids) {
        Draft::wait(Phase::Refused, Reason::VolumeUnreadable, problem.clone(), REST_INTERVAL)
    } else {
        match &observed.launcher {
            Launcher::Running => running::running(observed, &mut memory, now),
            // An agent that has just started cannot tell yet whether etcd runs.
            Launcher::Absent
                if memory
                    .hook_since
                    .is_some_and(|since| now.since(since) < TIME_TO_CONNECT) =>
            {
                Draft::wait(
                    Phase::Waiting,
                    Reason::WaitingForEtcdContainer,
                    "the pod is ending; waiting for the etcd container to say whether etcd runs",
                    BUSY_INTERVAL,
                )
            }
            _ if observed.hook_waits => Draft::act(
                Phase::Waiting,
                Reason::PodEnding,
                "the pod is ending and etcd does not run: there is nothing to leave",
                [Action::ReleaseHook {
                    left: observed.disk.tombstone.is_some(),
                }],
            ),
            Launcher::Absent => Draft::wait(
                Phase::Waiting,
                Reason::WaitingForEtcdContainer,
                "waiting for the etcd container to start",
                BUSY_INTERVAL,
            ),
            Launcher::Blocked => Draft::wait(
                Phase::Waiting,
                Reason::VolumeLocked,
                "waiting for the lock on the volume: another pod of this seat still holds it",
                RETRY_INTERVAL,
            ),
            Launcher::LockFails { why } => lock_fails(why),
            Launcher::AwaitingPlan { corrupt } => {
                memory.leaving_since = None;
                // What makes way now is one archive more when the seat votes again.
                memory.pruned = false;
                memory.prune_attempts = None;
                awaiting_plan(observed, *corrupt, now)
            }
        }
    };
    failed_starts::tell(&mut draft, observed, now);
    pace::tell_setback(&mut draft, observed, &memory);
    pace::pace(&mut draft, observed, &mut memory, now);
    draft.decision(memory, now)
}

/// Decides while etcd waits for a plan.
fn awaiting_plan(observed: &Observed, corrupt: bool, now: Time) -> Draft {
    match observed.disk.wal {
        Some(wal) => resume::resume(observed, wal, corrupt, now),
        // Between the hook's answer and the end of the container: a learner added now would be left behind.
        None if observed.container_ends => Draft::wait(
            Phase::Waiting,
            Reason::PodEnding,
            "the pod is ending: its seat joins when it comes back",
            REST_INTERVAL,
        ),
        None => bootstrap::without_data(observed, now),
    }
}

fn lock_fails(why: &str) -> Draft {
    Draft::wait(
        Phase::Waiting,
        Reason::VolumeLockFailed,
        format!(
            "the lock on the volume cannot be taken: {why}; etcd starts once it can: the volume must be mounted for \
             writing, writable for the pod's group and not full, and its file system must have locks"
        ),
        RETRY_INTERVAL,
    )
}
