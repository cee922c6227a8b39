//! No WAL on the volume: start the cluster, or join it. The birth record decides which.

use std::collections::BTreeSet;
use std::time::Duration;

use muster_reasons::Reason;

use crate::decision::{Action, Draft, Need, Phase, StartPlan, either};
use crate::ids::{ClusterId, Seat, Time, founding_cluster_id};
use crate::observed::{Birth, BirthPhase, Freshness, Observed, Unread, Wanted};
use crate::timing::{ASK_INTERVAL, REST_INTERVAL, RETRY_INTERVAL};
use crate::{advice, join};

/// Decides over a volume without a WAL.
pub(crate) fn without_data(observed: &Observed, now: Time) -> Draft {
    if observed.disk.wal_seen {
        return join::lost_wal();
    }
    either(by_birth_record(observed, now))
}

fn by_birth_record(observed: &Observed, now: Time) -> Result<Draft, Draft> {
    let record = observed.birth.need(now, &[Need::Birth], |cause| {
        let (reason, clause) = cause.of_birth_record();
        wait(
            reason,
            format!("the volume is empty, and whether the cluster exists already is in the birth record, which cannot be read: {clause}"),
            RETRY_INTERVAL,
        )
    })?;
    let Some(birth) = record else {
        return Err(wait(
            Reason::BirthRecordMissing,
            "the volume is empty and the birth record is missing: the operator writes it, or the agent beside the leader",
            RETRY_INTERVAL,
        ));
    };
    let given_up = birth.cluster.is_some() && birth.cluster == birth.abandoned;
    let founder_here = birth
        .founder
        .as_ref()
        .filter(|(_, seat, volume)| *seat == observed.me.seat && *volume == observed.me.volume);
    match (birth.phase, founder_here) {
        // The attestation is about the time before the cluster that was given up.
        (BirthPhase::Unclaimed, _) => {
            let attested = birth.no_older_volumes && birth.abandoned.is_none();
            bootstrap(observed, birth, attested, now)
        }
        _ if given_up => bootstrap(observed, birth, false, now),
        (BirthPhase::Claimed, Some((token, ..))) if observed.disk.join.is_none() => Ok(Draft::act(
            Phase::Founding,
            Reason::Founding,
            "this volume claimed the founding: etcd starts as the first member",
            [Action::Start(StartPlan::New { token: token.clone() })],
        )),
        // It has served, so there was a WAL, even if the note of it is gone too.
        (BirthPhase::Formed, Some(_)) => Ok(join::lost_wal()),
        _ => Ok(match birth.cluster {
            Some(cluster) => join::join(observed, cluster, birth.phase == BirthPhase::Formed, now),
            None => Draft::wait(
                Phase::Refused,
                Reason::BirthRecordDamaged,
                format!(
                    "the birth record is claimed but names no cluster ID: {}",
                    advice::complete_the_record()
                ),
                REST_INTERVAL,
            )
            .reading([Need::Birth]),
        }),
    }
}

/// Claims the unclaimed record, if it is certain that no older data exists.
fn bootstrap(observed: &Observed, birth: &Birth, attested: bool, now: Time) -> Result<Draft, Draft> {
    let all = [Need::Birth, Need::Workload, Need::Peers, Need::StatusCluster];
    let wanted = observed.wanted_here(
        now,
        &all,
        |cause| unread(cause, "the StatefulSet says who founds the cluster"),
        || wait_to_bootstrap(Reason::SeatNotWanted, "the StatefulSet does not want this seat"),
    )?;
    if observed.me.seat != Seat(0) {
        return Err(wait(
            Reason::WaitingForFounder,
            "waiting for seat 0 to found the cluster",
            ASK_INTERVAL,
        ));
    }
    let given_up = |known: &ClusterId| birth.abandoned == Some(*known);
    let in_status = observed.status_cluster.need(now, &all, |cause| {
        unread(cause, "the EtcdCluster's status may know an older cluster").reading([Need::StatusCluster])
    })?;
    if let Some(known) = in_status.filter(|known| !given_up(known)) {
        let what = format!("the EtcdCluster's status knows cluster {known}, but its birth record is unclaimed");
        return Err(refuse_a_second_cluster(&what, known).reading([Need::StatusCluster]));
    }
    // What this volume itself remembers of a cluster: the record must have been lost and made anew.
    let bound = observed.disk.join.or(observed.disk.tombstone);
    if let Some(known) = bound.map(|identity| identity.cluster).filter(|known| !given_up(known)) {
        let what = format!("this volume was registered in cluster {known}, but the birth record is unclaimed");
        return Err(refuse_a_second_cluster(&what, known));
    }
    nobody_has_data(observed, wanted, attested, now)
        .map_err(|(reason, why)| wait_to_bootstrap(reason, &why).reading([Need::Peers]))?;
    Ok(Draft::act(
        Phase::Founding,
        Reason::Founding,
        "no older data exists: this volume claims the founding",
        [Action::ClaimBirth {
            token: observed.token.clone(),
            cluster: founding_cluster_id(&observed.me.peer_url, &observed.token),
        }],
    )
    .within(Duration::ZERO)
    .reading([Need::Birth]))
}

fn wait(reason: Reason, why: impl Into<String>, pause: Duration) -> Draft {
    Draft::wait(Phase::Waiting, reason, why, pause).reading([Need::Birth])
}

/// Founding goes on when something changes; until then the sentence stands.
fn wait_to_bootstrap(reason: Reason, why: &str) -> Draft {
    wait(reason, format!("the cluster is not founded yet: {why}"), ASK_INTERVAL).reading([Need::Workload])
}

fn unread(cause: &Unread, rest: &str) -> Draft {
    let (reason, clause) = cause.of_api_server();
    wait_to_bootstrap(reason, &format!("{clause}; {rest}"))
}

fn refuse_a_second_cluster(what: &str, known: ClusterId) -> Draft {
    let why = format!(
        "{what}: a second cluster is not founded; {}",
        advice::restore_or_give_up(known)
    );
    Draft::wait(Phase::Refused, Reason::SecondCluster, why, REST_INTERVAL).reading([Need::Birth])
}

fn nobody_has_data(observed: &Observed, wanted: Wanted, attested: bool, now: Time) -> Result<(), (Reason, String)> {
    let possible = |why: String| Err((Reason::OlderDataPossible, why));
    let peers = match observed.peers.check(now) {
        Freshness::Fresh(peers) => peers,
        Freshness::Stale => return possible("the pods of the other seats are not known".into()),
        Freshness::Failed(cause) => {
            let (reason, clause) = cause.of_api_server();
            return Err((reason, format!("the pods of the other seats are not known: {clause}")));
        }
    };
    for (seat, peer) in peers {
        if peer.etcd.fresh(now).is_some() {
            return possible(format!("{seat} answers as a member of a cluster already"));
        }
        if peer.agent.fresh(now).is_some_and(|report| report.has_data) {
            return possible(format!("the volume of {seat} holds data of a cluster"));
        }
    }
    if attested {
        return Ok(());
    }
    // Pods of seats that are not wanted too, as long as they are there: out of reach is not empty.
    let others = wanted.seats().filter(|seat| *seat != observed.me.seat);
    let asked: BTreeSet<_> = others.chain(peers.keys().copied()).collect();
    for seat in asked {
        if peers.get(&seat).and_then(|peer| peer.agent.fresh(now)).is_none() {
            return possible(format!("{seat} has not reported that its volume is empty"));
        }
    }
    Ok(())
}
