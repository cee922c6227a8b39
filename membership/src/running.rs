//! etcd runs: become a voter, leave when the seat is not wanted, look after the cluster, or rest.

use muster_reasons::Reason;

use crate::decision::{Action, Draft, Need, Phase};
use crate::ids::Time;
use crate::memory::{Attempts, Memory};
use crate::observed::{Demand, EtcdStatus, Observed, Workload};
use crate::timing::{BUSY_INTERVAL, REST_INTERVAL, RETRY_INTERVAL};
use crate::{birth_record, housekeeping, leave, outage, promote, publication};

/// Decides beside a running etcd.
pub(crate) fn running(observed: &Observed, memory: &mut Memory, now: Time) -> Draft {
    let mut draft = match observed.local.fresh(now) {
        None => without_answer(observed, memory, now),
        Some(status) => answering(observed, status, memory, now),
    };
    // From here on a missing WAL means a lost volume, not a start that has not happened.
    if observed.disk.wal.is_some() && !observed.disk.wal_seen {
        draft.actions.insert(0, Action::NoteWal);
    }
    draft
}

/// etcd does not answer, so nothing can be asked of it; a hook that waits is not kept for long.
fn without_answer(observed: &Observed, memory: &Memory, now: Time) -> Draft {
    let stays = |workload: &Workload| !matches!(workload.demand(observed.me.seat), Demand::Unwanted(_));
    if memory.hook_since.is_some_and(|since| now.since(since) > RETRY_INTERVAL)
        && observed.workload.fresh(now).is_some_and(stays)
    {
        return Draft::act(
            Phase::Waiting,
            Reason::PodEnding,
            "the pod is ending and its seat stays a member",
            [Action::ReleaseHook { left: false }],
        );
    }
    // A member that starts for the first time also serves its peers first, and has a cluster to catch up with.
    let draft = match outage::since_start(observed, now) {
        Some(why) if observed.disk.wal_seen => Draft::wait(Phase::Waiting, Reason::NoQuorum, why, RETRY_INTERVAL),
        _ => match &observed.local.seen {
            None => Draft::wait(
                Phase::Joining,
                Reason::EtcdStarting,
                "etcd is starting and does not answer yet",
                BUSY_INTERVAL,
            ),
            // Stuck, or slower than a look waits: it answered since it started.
            Some((_, last)) => Draft::wait(
                last_phase(observed, last, memory),
                Reason::EtcdNotAnswering,
                "etcd runs and does not answer at the moment: it is stuck or slow",
                RETRY_INTERVAL,
            ),
        },
    };
    if observed.hook_waits {
        draft.reading([Need::Workload])
    } else {
        draft
    }
}

fn last_phase(observed: &Observed, last: &EtcdStatus, memory: &Memory) -> Phase {
    if memory.leaving_since.is_some() || observed.disk.tombstone == Some(last.identity) {
        Phase::Leaving
    } else if last.learner {
        Phase::Learner
    } else {
        Phase::Voter
    }
}

fn answering(observed: &Observed, status: &EtcdStatus, memory: &mut Memory, now: Time) -> Draft {
    let hinted = matches!(observed.hinted_demand(), Demand::Unwanted(_));
    let may_leave = observed.hook_waits || memory.leaving_since.is_some() || hinted;
    if may_leave && let Some(draft) = leave::leave(observed, status, memory, now) {
        return leaving(observed, status, draft, memory, now);
    }
    if status.learner {
        return promote::learner(observed, status, now);
    }
    let due = !memory.pruned && memory.prune_attempts.is_none_or(|attempts| attempts.again(now));
    let prune = due.then(|| {
        Attempts::note(&mut memory.prune_attempts, now);
        Action::PruneArchives
    });
    let mut draft = voter(observed, status, memory, now);
    if may_leave && observed.workload.fresh(now).is_none() {
        draft.needs.insert(Need::Workload);
    }
    draft.actions.extend(prune);
    draft
}

/// A voter that has to wait before it can leave goes on looking after the others: what it waits for may wait
/// for that, if no voter of a wanted seat is there to do it.
fn leaving(observed: &Observed, status: &EtcdStatus, mut leave: Draft, memory: &mut Memory, now: Time) -> Draft {
    let waits = leave.phase == Some(Phase::Leaving) && leave.actions.is_empty();
    let (true, false, Some(leader)) = (waits, status.learner, status.leader) else {
        return leave;
    };
    match for_others(observed, status, leader == status.identity.member, memory, now) {
        Some(draft) if !draft.actions.is_empty() => draft,
        Some(draft) => {
            leave.needs.extend(draft.needs);
            leave
        }
        None => leave,
    }
}

fn for_others(observed: &Observed, status: &EtcdStatus, leads: bool, memory: &mut Memory, now: Time) -> Option<Draft> {
    birth_record::birth_record(observed, status, leads, memory, now)
        .or_else(|| publication::publication(observed, status, leads, memory, now))
        .or_else(|| housekeeping::housekeeping(observed, status, leads, memory, now))
}

fn voter(observed: &Observed, status: &EtcdStatus, memory: &mut Memory, now: Time) -> Draft {
    let Some(leader) = status.leader else {
        let why = outage::no_leader(observed, now);
        return Draft::wait(Phase::Voter, Reason::NoQuorum, why, REST_INTERVAL);
    };
    let leads = leader == status.identity.member;
    if let Some(draft) = for_others(observed, status, leads, memory, now) {
        return draft;
    }
    let members = observed.local_list.iter().flat_map(|list| list.members.values());
    let why = match (members.filter(|member| member.seat.is_none()).count(), leads) {
        (0, true) => "serves as the leader".into(),
        (0, false) => "serves as a follower".into(),
        (strangers, _) => format!("serves; {strangers} members belong to no seat of this cluster and are left alone"),
    };
    Draft::wait(Phase::Voter, Reason::Serving, why, REST_INTERVAL)
}
