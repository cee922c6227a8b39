//! A WAL is on the volume: start from it, unless it is certain that it must not start.

use crate::decision::{Action, ArchiveReason, Draft, Need, Phase, StartPlan};
use crate::ids::Time;
use crate::observed::{Freshness, Identity, MemberList, Observed, Workload};
use crate::quorum::quorum;
use crate::timing::{REST, RETRY};

/// Decides over data that is there. Only certain knowledge stops a start: nobody answering is the
/// normal case of a cold start, and etcd itself ends a member that was removed.
pub(crate) fn resume(o: &Observed, wal: Identity, corrupt: bool, now: Time) -> Draft {
    if o.disk.tombstone == Some(wal) {
        return removed(o, wal, now);
    }
    match o.list.check(now) {
        Freshness::Stale => Draft::look([Need::List(Some(wal.cluster))]),
        Freshness::Failed => start("no member of this cluster answers a linearizable read: etcd starts from its data"),
        Freshness::Fresh(list) if list.cluster == wal.cluster => {
            if !list.members.contains_key(&wal.member) {
                removed(o, wal, now)
            } else if corrupt && !o.disk.corrupt_before {
                set_corrupt_data_aside(o, wal, list, now)
            } else {
                start("the cluster still lists this member: etcd starts from its data")
            }
        }
        Freshness::Fresh(list) => another_cluster_answers(o, wal, list, now),
    }
}

fn start(why: &str) -> Draft {
    Draft::act(Phase::Joining, why, [Action::Start(StartPlan::Resume)])
}

/// The member is gone from its cluster for certain (a fenced list, or the tombstone of its own leave).
fn removed(o: &Observed, wal: Identity, now: Time) -> Draft {
    match o.workload.check(now) {
        Freshness::Stale => Draft::look([Need::Workload, Need::List(Some(wal.cluster))]),
        Freshness::Failed => Draft::wait(
            Phase::Left,
            "the member on this volume was removed; whether the seat is wanted again is not known, because the API server does not answer",
            RETRY,
        )
        .reading([Need::Workload]),
        Freshness::Fresh(Workload::Wants(w)) if w.wants(o.me.seat) => Draft::act(
            Phase::Joining,
            format!("member {} was removed: its data is set aside, and the seat joins anew", wal.member),
            [Action::Archive(ArchiveReason::Removed)],
        ),
        Freshness::Fresh(_) => Draft::wait(
            Phase::Left,
            "the member on this volume was removed, and its seat is not wanted",
            REST,
        )
        .reading([Need::Workload]),
    }
}

/// Data that etcd cannot open makes way once per volume, and only while the others can do without it.
fn set_corrupt_data_aside(o: &Observed, wal: Identity, list: &MemberList, now: Time) -> Draft {
    if matches!(o.peers.check(now), Freshness::Stale) {
        return Draft::look([Need::Peers, Need::List(Some(wal.cluster))]);
    }
    let live = o.live(wal.cluster, now);
    let voters = list.voters().count();
    let others = list
        .voters()
        .filter(|(id, _)| **id != wal.member && live.together.contains(id))
        .count();
    if others >= quorum(voters) {
        Draft::act(
            Phase::Joining,
            "etcd cannot open the data on this volume, and the other members are a quorum: the data is set aside, and the seat joins anew",
            [Action::Archive(ArchiveReason::Corrupt)],
        )
    } else {
        start(
            "etcd cannot open the data on this volume, but the other members are no quorum without it: it is tried again",
        )
    }
}

/// Peers of these names answer for another cluster. Pod addresses are re-used, so that alone says
/// nothing; only together with the birth record does it show that the volume is foreign.
fn another_cluster_answers(o: &Observed, wal: Identity, list: &MemberList, now: Time) -> Draft {
    match o.birth.check(now) {
        Freshness::Stale => Draft::look([Need::Birth, Need::List(Some(wal.cluster))]),
        Freshness::Fresh(Some(birth)) if birth.cluster == Some(list.cluster) => Draft::wait(
            Phase::Refused,
            format!(
                "the volume holds data of cluster {}, but this cluster is {} by its birth record and its members: give the seat the right volume, or an empty one",
                wal.cluster, list.cluster
            ),
            REST,
        )
        .reading([Need::Birth, Need::List(Some(wal.cluster))]),
        _ => start("nobody of this cluster answers: etcd starts from its data"),
    }
}
