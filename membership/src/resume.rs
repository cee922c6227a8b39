//! A WAL is on the volume: start from it, unless it is certain that it must not start.

use muster_reasons::Reason;

use crate::decision::{Action, ArchiveReason, Draft, Need, Phase, StartPlan, either};
use crate::ids::Time;
use crate::observed::{Freshness, Identity, MemberList, Observed};
use crate::origin;
use crate::quorum::quorum;
use crate::timing::{REST_INTERVAL, RETRY_INTERVAL};

/// Decides over data that is there. Only certain knowledge stops a start: nobody answering is the
/// normal case of a cold start, and etcd itself ends a member that was removed.
pub(crate) fn resume(observed: &Observed, wal: Identity, corrupt: bool, now: Time) -> Draft {
    if observed.disk.tombstone == Some(wal) {
        return either(removed(observed, wal, now));
    }
    if observed.disk.nameless
        && let Err(draft) = origin::certain(observed, wal, now)
    {
        return draft;
    }
    match observed.list.check(now) {
        Freshness::Stale => Draft::look([Need::List(Some(wal.cluster))]),
        Freshness::Failed(_) => start(
            Reason::Resuming,
            "no member of this cluster answers a linearizable read: etcd starts from its data",
        ),
        Freshness::Fresh(list) if list.cluster == wal.cluster => {
            if !list.members.contains_key(&wal.member) {
                either(removed(observed, wal, now))
            } else if corrupt && !observed.disk.corrupt_before {
                set_corrupt_data_aside(observed, wal, list, now)
            } else {
                start(
                    Reason::Resuming,
                    "the cluster still lists this member: etcd starts from its data",
                )
            }
        }
        Freshness::Fresh(list) => another_cluster_answers(observed, wal, list, now),
    }
}

fn start(reason: Reason, why: &str) -> Draft {
    Draft::act(Phase::Joining, reason, why, [Action::Start(StartPlan::Resume)])
}

/// The member is gone from its cluster for certain (a fenced list, or the tombstone of its own leave).
fn removed(observed: &Observed, wal: Identity, now: Time) -> Result<Draft, Draft> {
    observed.wanted_here(
        now,
        &[Need::Workload, Need::List(Some(wal.cluster))],
        |cause| {
            let (reason, clause) = cause.of_api_server();
            let why = format!(
                "the member on this volume was removed; whether the seat is wanted again is not known, because {clause}"
            );
            Draft::wait(Phase::Left, reason, why, RETRY_INTERVAL).reading([Need::Workload])
        },
        || {
            let why = "the member on this volume was removed, and its seat is not wanted";
            Draft::wait(Phase::Left, Reason::SeatNotWanted, why, REST_INTERVAL).reading([Need::Workload])
        },
    )?;
    Ok(Draft::act(
        Phase::Joining,
        Reason::MemberRemoved,
        format!(
            "member {} was removed: its data is set aside, and the seat joins anew",
            wal.member
        ),
        [Action::Archive(ArchiveReason::Removed)],
    ))
}

/// Data that etcd cannot open makes way once per volume, and only while the others can do without it.
fn set_corrupt_data_aside(observed: &Observed, wal: Identity, list: &MemberList, now: Time) -> Draft {
    if observed.peers.is_stale(now) {
        return Draft::look([Need::Peers, Need::List(Some(wal.cluster))]);
    }
    let live = observed.live(wal.cluster, now);
    let voters = list.voters().count();
    let others = list
        .voters()
        .filter(|(id, _)| **id != wal.member && live.following_one_leader.contains(id))
        .count();
    if others >= quorum(voters) {
        Draft::act(
            Phase::Joining,
            Reason::CorruptData,
            "etcd cannot open the data on this volume, and the other members are a quorum: the data is set aside, and the seat joins anew",
            [Action::Archive(ArchiveReason::Corrupt)],
        )
    } else {
        start(
            Reason::CorruptData,
            "etcd cannot open the data on this volume, but the other members are no quorum without it: it is tried again",
        )
    }
}

/// Peers of these names answer for another cluster. Pod addresses are re-used, so that alone says
/// nothing; only together with the birth record does it show that the volume is foreign.
fn another_cluster_answers(observed: &Observed, wal: Identity, list: &MemberList, now: Time) -> Draft {
    match observed.birth.check(now) {
        Freshness::Stale => Draft::look([Need::Birth, Need::List(Some(wal.cluster))]),
        Freshness::Fresh(Some(birth)) if birth.cluster == Some(list.cluster) => Draft::wait(
            Phase::Refused,
            Reason::WrongCluster,
            format!(
                "the volume holds data of cluster {}, but this cluster is {} by its birth record and its members: give the seat the right volume, or an empty one",
                wal.cluster, list.cluster
            ),
            REST_INTERVAL,
        )
        .reading([Need::Birth, Need::List(Some(wal.cluster))]),
        _ => start(
            Reason::Resuming,
            "nobody of this cluster answers: etcd starts from its data",
        ),
    }
}
