//! Joining a cluster that exists, with a volume that has no WAL: as a learner, one seat at a time.

use crate::decision::{Action, ArchiveReason, Draft, Need, Phase, StartPlan};
use crate::ids::{ClusterId, MemberId, Time};
use crate::observed::{Endpoint, Freshness, Identity, Member, MemberList, Observed, Wanted, Workload};
use crate::quorum;
use crate::timing::{BUSY, REFUSED, REST, RETRY};

/// Decides the next step into `cluster`, which has `formed`, or was only claimed so far.
///
/// Nobody joins a cluster before its record says that it has formed. Its founder notes its WAL before
/// it marks the record, so until then the founder may start once more from nothing without harm.
pub(crate) fn join(o: &Observed, cluster: ClusterId, formed: bool, now: Time) -> Draft {
    let list = Need::List(Some(cluster));
    // Everything at once: what was read first must not be stale when the last is there.
    let all = [Need::Birth, Need::Workload, Need::Peers, list];
    let wanted = match o.workload.check(now) {
        Freshness::Stale => return Draft::look(all),
        Freshness::Failed => {
            return wait(
                "the API server does not answer; a seat joins only while the StatefulSet wants it",
                RETRY,
            )
            .reading([Need::Workload]);
        }
        Freshness::Fresh(Workload::Wants(wanted)) if wanted.wants(o.me.seat) => *wanted,
        Freshness::Fresh(_) => {
            return wait("the StatefulSet does not want this seat", REST).reading([Need::Workload]);
        }
    };
    // A name that is looked up before it is published may be answered "no such name" from caches for
    // 30 s, by everyone: nobody dials this seat before its name is there.
    match o.endpoint.check(now) {
        Freshness::Stale => return Draft::look(all),
        Freshness::Failed => {
            return wait(
                "the API server does not answer; this pod's name may not be published yet",
                RETRY,
            )
            .reading([Need::Peers]);
        }
        Freshness::Fresh(Endpoint::Unpublished) => {
            return wait("waiting for this pod's name to be published in the EndpointSlice", BUSY)
                .reading([Need::Peers]);
        }
        Freshness::Fresh(Endpoint::Published) => {}
    }
    match o.list.check(now) {
        Freshness::Stale => Draft::look(all),
        Freshness::Fresh(members) if members.cluster == cluster && formed => step(o, members, wanted, now),
        Freshness::Failed if every_volume_is_empty(o, wanted, now) => {
            lost(o, cluster, formed).reading([Need::Birth, Need::Peers, list])
        }
        _ if !formed => wait(
            format!("waiting for cluster {cluster}, which was claimed, to be formed by its founder"),
            REFUSED,
        )
        .reading([Need::Birth, Need::Peers, list]),
        _ => wait(
            format!("no member of cluster {cluster} answers a linearizable read"),
            RETRY,
        )
        .reading([Need::Peers, list]),
    }
}

/// Every volume that could be asked is empty. Only a person can know that none is left elsewhere.
fn lost(o: &Observed, cluster: ClusterId, formed: bool) -> Draft {
    let what = if formed {
        "was formed"
    } else {
        "one of them claimed to found"
    };
    Draft::wait(
        Phase::Lost,
        format!(
            "no volume of the wanted seats holds data of cluster {cluster}, which {what}: it is lost, unless a volume comes back or a higher seat that is not wanted now has one (then scale up to it); to start over with an empty store: {} patch configmap {}-birth --type merge -p '{{\"data\":{{\"abandoned\":\"{cluster}\"}}}}'",
            o.me.kubectl(),
            o.me.cluster(),
        ),
        REST,
    )
}

/// The WAL that was on this volume is gone: its member must never run again.
pub(crate) fn lost_wal() -> Draft {
    Draft::act(
        Phase::Joining,
        "the WAL that was on this volume is gone: what is left is set aside, and the seat joins as new",
        [Action::Archive(ArchiveReason::LostWal)],
    )
}

fn wait(why: impl Into<String>, after: u64) -> Draft {
    Draft::wait(Phase::Waiting, why, after)
}

fn step(o: &Observed, list: &MemberList, wanted: Wanted, now: Time) -> Draft {
    let again = Need::List(Some(list.cluster));
    let registered = o
        .disk
        .join
        .filter(|join| join.cluster == list.cluster && list.members.contains_key(&join.member));
    // A member gets its name when it starts, after it has a WAL. The note of that WAL may be missing.
    if registered.is_some_and(|join| list.members.get(&join.member).is_some_and(Member::started)) {
        return lost_wal();
    }
    let stranger = list
        .of(o.me.seat)
        .map(|(id, _)| *id)
        .find(|id| registered.is_none_or(|join| join.member != *id));
    if let Some(old) = stranger {
        return remove_old(o, list, wanted, old, now);
    }
    if let Some(join) = registered {
        return Draft::act(
            Phase::Joining,
            "this seat is registered: etcd starts and catches up",
            [Action::Start(StartPlan::Existing {
                initial_cluster: initial_cluster(o, list, join),
            })],
        )
        .reading([again]);
    }
    if o.disk.leftovers {
        return Draft::act(
            Phase::Joining,
            "files of an earlier start under a member that is gone are set aside",
            [Action::Archive(ArchiveReason::Leftovers)],
        );
    }
    if let Some((_, other)) = list.learners().next() {
        return wait(
            format!("waiting for the learner slot: {} is joining", other.label()),
            BUSY,
        )
        .reading([again]);
    }
    // The leader is asked, and the other members know who that is.
    if o.peers.check(now) == Freshness::Stale {
        return Draft::look([Need::Birth, Need::Workload, Need::Peers, again]);
    }
    let why = match &o.refusal {
        Some(refusal) => format!("asking to join as a learner; etcd refused so far: {refusal}"),
        None => "asking to join as a learner".into(),
    };
    Draft::act(Phase::Joining, why, [Action::AddLearner])
        .within(pace(o))
        .reading([again])
}

/// How soon to go on after a step: at once, or after a pause if the last one was refused.
fn pace(o: &Observed) -> u64 {
    if o.refusal.is_some() { REFUSED } else { 0 }
}

/// The seat's earlier member, whose volume is gone, makes way: its ID must never be used by an empty
/// volume (with the same leader etcd panics; after a leader change it accepts, and loses data).
fn remove_old(o: &Observed, list: &MemberList, wanted: Wanted, old: MemberId, now: Time) -> Draft {
    let again = [Need::Peers, Need::List(Some(list.cluster))];
    match o.peers.check(now) {
        Freshness::Stale => return Draft::look(again).reading([Need::Birth, Need::Workload]),
        Freshness::Failed => {
            return wait(
                format!("this seat's member {old} has lost its volume; who else answers is not known"),
                RETRY,
            )
            .reading(again);
        }
        Freshness::Fresh(_) => {}
    }
    match quorum::may_remove(list, &o.live(list.cluster, now), wanted, old) {
        Ok(()) => Draft::act(
            Phase::Joining,
            format!("the volume of this seat's member {old} is gone: that member is removed first"),
            [Action::Remove { member: old }],
        )
        .within(pace(o))
        .reading(again),
        Err(why) => wait(
            format!("this seat's member {old} has lost its volume and cannot be removed yet: {why}"),
            RETRY,
        )
        .reading(again),
    }
}

/// What etcd compares with its peers' list: every member, URLs byte for byte (unequal ones are
/// resolved by DNS, for up to 30 s), one unique name each, its own among them.
fn initial_cluster(o: &Observed, list: &MemberList, join: Identity) -> Vec<(String, String)> {
    list.members
        .iter()
        .flat_map(|(id, member)| {
            let name = if *id == join.member {
                o.me.name.clone()
            } else {
                format!("m{id}")
            };
            member.peer_urls.iter().map(move |url| (name.clone(), url.clone()))
        })
        .collect()
}

fn every_volume_is_empty(o: &Observed, wanted: Wanted, now: Time) -> bool {
    let Some(peers) = o.peers.fresh(now) else { return false };
    let empty = |seat| {
        peers
            .get(&seat)
            .and_then(|peer| peer.agent.fresh(now))
            .is_some_and(|report| !report.has_data)
    };
    peers.values().all(|peer| peer.etcd.fresh(now).is_none())
        && peers
            .values()
            .all(|peer| peer.agent.fresh(now).is_some_and(|report| !report.has_data))
        && wanted.seats().filter(|seat| *seat != o.me.seat).all(empty)
}
