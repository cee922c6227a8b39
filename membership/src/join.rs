//! Joining a cluster that exists, with a volume that has no WAL: as a learner, one seat at a time.

use std::time::Duration;

use muster_reasons::Reason;

use crate::decision::{Action, ArchiveReason, Draft, Need, Phase, StartPlan, either};
use crate::ids::{ClusterId, MemberId, Time};
use crate::observed::{Endpoint, Freshness, Identity, Member, MemberList, Observed, Unread, Wanted};
use crate::timing::{ASK_INTERVAL, BUSY_INTERVAL, REST_INTERVAL, RETRY_INTERVAL};
use crate::{advice, quorum};

/// Decides the next step into `cluster`, which has `formed`, or was only claimed so far.
///
/// Nobody joins a cluster before its record says that it has formed. Its founder notes its WAL before
/// it marks the record, so until then the founder may start once more from nothing without harm.
pub(crate) fn join(observed: &Observed, cluster: ClusterId, formed: bool, now: Time) -> Draft {
    either(into(observed, cluster, formed, now))
}

fn into(observed: &Observed, cluster: ClusterId, formed: bool, now: Time) -> Result<Draft, Draft> {
    let list = Need::List(Some(cluster));
    let all = [Need::Birth, Need::Workload, Need::Peers, list];
    let wanted = observed.wanted_here(
        now,
        &all,
        |cause| unread(cause, "a seat joins only while the StatefulSet wants it").reading([Need::Workload]),
        || {
            let why = "the StatefulSet does not want this seat";
            wait(Reason::SeatNotWanted, why, REST_INTERVAL).reading([Need::Workload])
        },
    )?;
    // A name that is looked up before it is published may be answered "no such name" from caches for
    // 30 s, by everyone: nobody dials this seat before its name is there.
    let endpoint = observed.endpoint.need(now, &all, |cause| {
        unread(cause, "this pod's name may not be published yet").reading([Need::Peers])
    })?;
    if *endpoint == Endpoint::Unpublished {
        let why = "waiting for this pod's name to be published in the EndpointSlice";
        return Err(wait(Reason::NameNotPublished, why, BUSY_INTERVAL).reading([Need::Peers]));
    }
    let nobody = format!("no member of cluster {cluster} answers a linearizable read");
    Ok(match observed.list.check(now) {
        Freshness::Stale => Draft::look(all),
        Freshness::Fresh(members) if members.cluster == cluster && formed => step(observed, members, wanted, now),
        Freshness::Failed(_) if every_volume_is_empty(observed, wanted, now) => {
            lost(observed, cluster, formed).reading([Need::Birth, Need::Peers, list])
        }
        _ if !formed => wait(
            Reason::WaitingForFounder,
            format!("waiting for cluster {cluster}, which was claimed, to be formed by its founder"),
            ASK_INTERVAL,
        )
        .reading([Need::Birth, Need::Peers, list]),
        // Another cluster answers at a re-used address.
        Freshness::Fresh(_) => wait(Reason::NoMemberAnswers, nobody, RETRY_INTERVAL).reading([Need::Peers, list]),
        Freshness::Failed(cause) => {
            wait(Reason::NoMemberAnswers, cause.of_etcd(&nobody), RETRY_INTERVAL).reading([Need::Peers, list])
        }
    })
}

/// Every volume that could be asked is empty. Only a person can know that none is left elsewhere.
fn lost(observed: &Observed, cluster: ClusterId, formed: bool) -> Draft {
    let what = if formed {
        "was formed"
    } else {
        "one of them claimed to found"
    };
    Draft::wait(
        Phase::Lost,
        Reason::ClusterLost,
        format!(
            "no volume of the wanted seats holds data of cluster {cluster}, which {what}: it is lost, unless a volume comes back or a higher seat that is not wanted now has one (then scale up to it); {}",
            advice::start_over(&observed.me, cluster)
        ),
        REST_INTERVAL,
    )
}

/// The WAL that was on this volume is gone: its member must never run again.
pub(crate) fn lost_wal() -> Draft {
    Draft::act(
        Phase::Joining,
        Reason::VolumeLost,
        "the WAL that was on this volume is gone: what is left is set aside, and the seat joins as new",
        [Action::Archive(ArchiveReason::LostWal)],
    )
}

fn wait(reason: Reason, why: impl Into<String>, pause: Duration) -> Draft {
    Draft::wait(Phase::Waiting, reason, why, pause)
}

fn unread(cause: &Unread, rest: &str) -> Draft {
    let (reason, clause) = cause.of_api_server();
    wait(reason, format!("{clause}; {rest}"), RETRY_INTERVAL)
}

fn step(observed: &Observed, list: &MemberList, wanted: Wanted, now: Time) -> Draft {
    let again = Need::List(Some(list.cluster));
    let registered = observed
        .disk
        .join
        .filter(|join| join.cluster == list.cluster && list.members.contains_key(&join.member));
    // A member gets its name when it starts, after it has a WAL. The note of that WAL may be missing.
    if registered.is_some_and(|join| list.members.get(&join.member).is_some_and(Member::started)) {
        return lost_wal();
    }
    let stranger = list
        .of(observed.me.seat)
        .map(|(id, _)| *id)
        .find(|id| registered.is_none_or(|join| join.member != *id));
    if let Some(old) = stranger {
        return either(remove_old(observed, list, wanted, old, now));
    }
    if let Some(join) = registered {
        return Draft::act(
            Phase::Joining,
            Reason::Joining,
            "this seat is registered: etcd starts and catches up",
            [Action::Start(StartPlan::Existing {
                initial_cluster: initial_cluster(observed, list, join),
            })],
        )
        .reading([again]);
    }
    if observed.disk.leftovers {
        return Draft::act(
            Phase::Joining,
            Reason::Joining,
            "files of an earlier start under a member that is gone are set aside",
            [Action::Archive(ArchiveReason::Leftovers)],
        );
    }
    if let Some((_, other)) = list.learners().next() {
        let why = format!("waiting for the learner slot: {} is joining", other.label());
        return wait(Reason::LearnerSlotTaken, why, BUSY_INTERVAL).reading([again]);
    }
    // The leader is asked, and the other members know who that is.
    if observed.peers.is_stale(now) {
        return Draft::look([Need::Birth, Need::Workload, Need::Peers, again]);
    }
    let (reason, why) = match &observed.refusal {
        Some(refusal) => (
            Reason::RefusedByEtcd,
            format!("asking to join as a learner; etcd refused so far: {refusal}"),
        ),
        None => (Reason::Joining, "asking to join as a learner".into()),
    };
    Draft::act(Phase::Joining, reason, why, [Action::AddLearner])
        .within(pause(observed))
        .reading([again])
}

/// The pause after a step: none, unless the last one was refused.
fn pause(observed: &Observed) -> Duration {
    if observed.refusal.is_some() {
        ASK_INTERVAL
    } else {
        Duration::ZERO
    }
}

/// The seat's earlier member, whose volume is gone, makes way: its ID must never be used by an empty
/// volume (with the same leader etcd panics; after a leader change it accepts, and loses data).
fn remove_old(
    observed: &Observed,
    list: &MemberList,
    wanted: Wanted,
    old: MemberId,
    now: Time,
) -> Result<Draft, Draft> {
    let again = [Need::Peers, Need::List(Some(list.cluster))];
    let all = [Need::Birth, Need::Workload, again[0], again[1]];
    observed.peers.need(now, &all, |cause| {
        let (reason, clause) = cause.of_api_server();
        let why = format!("this seat's member {old} has lost its volume; who else answers is not known: {clause}");
        wait(reason, why, RETRY_INTERVAL).reading(again)
    })?;
    quorum::may_remove(list, &observed.live(list.cluster, now), wanted, old).map_err(|why| {
        let why = format!("this seat's member {old} has lost its volume and cannot be removed yet: {why}");
        wait(Reason::QuorumAtRisk, why, RETRY_INTERVAL).reading(again)
    })?;
    Ok(Draft::act(
        Phase::Joining,
        Reason::ReplacingMember,
        format!("the volume of this seat's member {old} is gone: that member is removed first"),
        [Action::Remove { member: old }],
    )
    .within(pause(observed))
    .reading(again))
}

/// The members as etcd compares them with its peers' list: every one, URLs byte for byte (unequal ones are
/// resolved by DNS, for up to 30 s), one unique name each, its own among them.
fn initial_cluster(observed: &Observed, list: &MemberList, join: Identity) -> Vec<(String, String)> {
    list.members
        .iter()
        .flat_map(|(id, member)| {
            let name = if *id == join.member {
                observed.me.name.clone()
            } else {
                format!("m{id}")
            };
            member.peer_urls.iter().map(move |url| (name.clone(), url.clone()))
        })
        .collect()
}

fn every_volume_is_empty(observed: &Observed, wanted: Wanted, now: Time) -> bool {
    let Some(peers) = observed.peers.fresh(now) else {
        return false;
    };
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
        && wanted.seats().filter(|seat| *seat != observed.me.seat).all(empty)
}
