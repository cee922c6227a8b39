//! No WAL on the volume: found the cluster, or join it. The birth record decides which.

use crate::decision::{Action, Draft, Need, Phase, StartPlan};
use crate::ids::{Seat, Time, founding_cluster_id};
use crate::join;
use crate::observed::{Birth, BirthPhase, Freshness, Observed, Wanted, Workload};
use crate::timing::{REFUSED, REST, RETRY};

/// Decides over a volume without a WAL.
pub(crate) fn without_data(o: &Observed, now: Time) -> Draft {
    if o.disk.wal_seen {
        return join::lost_wal();
    }
    let birth = match o.birth.check(now) {
        Freshness::Stale => return Draft::look([Need::Birth]),
        Freshness::Failed => {
            return Draft::wait(
                Phase::Waiting,
                "the volume is empty, and whether the cluster exists already is in the birth record, which cannot be read: the API server does not answer, or the record is damaged",
                RETRY,
            )
            .reading([Need::Birth]);
        }
        Freshness::Fresh(None) => {
            return Draft::wait(
                Phase::Waiting,
                "the volume is empty and the birth record is missing: the operator writes it, or the agent beside the leader",
                RETRY,
            )
            .reading([Need::Birth]);
        }
        Freshness::Fresh(Some(birth)) => birth,
    };
    let given_up = birth.cluster.is_some() && birth.cluster == birth.abandoned;
    let founder_here = birth
        .founder
        .as_ref()
        .filter(|(_, seat, volume)| *seat == o.me.seat && *volume == o.me.volume);
    match (birth.phase, founder_here) {
        // The attestation is about the time before the cluster that was given up.
        (BirthPhase::Unclaimed, _) => found(o, birth, birth.no_older_volumes && birth.abandoned.is_none(), now),
        _ if given_up => found(o, birth, false, now),
        (BirthPhase::Claimed, Some((token, ..))) if o.disk.join.is_none() => Draft::act(
            Phase::Founding,
            "this volume claimed the founding: etcd starts as the first member",
            [Action::Start(StartPlan::New { token: token.clone() })],
        ),
        // It has served, so there was a WAL, even if the note of it is gone too.
        (BirthPhase::Formed, Some(_)) => join::lost_wal(),
        _ => match birth.cluster {
            Some(cluster) => join::join(o, cluster, birth.phase == BirthPhase::Formed, now),
            None => Draft::wait(
                Phase::Refused,
                "the birth record is claimed but names no cluster ID: restore its clusterID, or set phase to unclaimed if the cluster never was",
                REST,
            )
            .reading([Need::Birth]),
        },
    }
}

/// Claims the unclaimed record, if it is certain that no older data exists.
fn found(o: &Observed, birth: &Birth, attested: bool, now: Time) -> Draft {
    let all = [Need::Birth, Need::Workload, Need::Peers, Need::StatusCluster];
    let wanted = match o.workload.check(now) {
        Freshness::Stale => return Draft::look(all),
        Freshness::Fresh(Workload::Wants(wanted)) if wanted.wants(o.me.seat) => *wanted,
        Freshness::Fresh(_) => return hold("the StatefulSet does not want this seat"),
        Freshness::Failed => {
            return hold("the API server does not answer; the StatefulSet says who founds the cluster");
        }
    };
    if o.me.seat != Seat(0) {
        return Draft::wait(Phase::Waiting, "waiting for seat 0 to found the cluster", REFUSED).reading([Need::Birth]);
    }
    match o.status_cluster.check(now) {
        Freshness::Stale => return Draft::look(all),
        Freshness::Failed => {
            return hold("the API server does not answer; the EtcdCluster's status may know an older cluster")
                .reading([Need::StatusCluster]);
        }
        Freshness::Fresh(Some(known)) if birth.abandoned != Some(*known) => {
            return Draft::wait(
                Phase::Refused,
                format!(
                    "the EtcdCluster's status knows cluster {known}, but its birth record is unclaimed: a second cluster is not founded; restore the record, or give the old cluster up by setting abandoned={known} in it"
                ),
                REST,
            )
            .reading([Need::Birth, Need::StatusCluster]);
        }
        Freshness::Fresh(_) => {}
    }
    // What this volume itself remembers of a cluster: the record must have been lost and made anew.
    let bound = o.disk.join.or(o.disk.tombstone).map(|identity| identity.cluster);
    if let Some(known) = bound.filter(|known| birth.abandoned != Some(*known)) {
        return Draft::wait(
            Phase::Refused,
            format!(
                "this volume was registered in cluster {known}, but the birth record is unclaimed: a second cluster is not founded; restore the record, or give the old cluster up by setting abandoned={known} in it"
            ),
            REST,
        )
        .reading([Need::Birth]);
    }
    if let Err(why) = nobody_has_data(o, wanted, attested, now) {
        return hold(&why).reading([Need::Peers]);
    }
    Draft::act(
        Phase::Founding,
        "no older data exists: this volume claims the founding",
        [Action::ClaimBirth {
            token: o.token.clone(),
            cluster: founding_cluster_id(&o.me.peer_url, &o.token),
        }],
    )
    .within(0)
    .reading([Need::Birth])
}

/// Founding goes on when something changes; until then the sentence stands.
fn hold(why: &str) -> Draft {
    Draft::wait(
        Phase::Waiting,
        format!("the cluster is not founded yet: {why}"),
        REFUSED,
    )
    .reading([Need::Birth, Need::Workload])
}

fn nobody_has_data(o: &Observed, wanted: Wanted, attested: bool, now: Time) -> Result<(), String> {
    let Some(peers) = o.peers.fresh(now) else {
        return Err("the pods of the other seats are not known".into());
    };
    for (seat, peer) in peers {
        if peer.etcd.fresh(now).is_some() {
            return Err(format!("{seat} answers as a member of a cluster already"));
        }
        if peer.agent.fresh(now).is_some_and(|report| report.has_data) {
            return Err(format!("the volume of {seat} holds data of a cluster"));
        }
    }
    if attested {
        return Ok(());
    }
    // Pods of seats that are not wanted too, as long as they are there: out of reach is not empty.
    let others = wanted.seats().filter(|seat| *seat != o.me.seat);
    let asked: std::collections::BTreeSet<_> = others.chain(peers.keys().copied()).collect();
    for seat in asked {
        if peers.get(&seat).and_then(|peer| peer.agent.fresh(now)).is_none() {
            return Err(format!("{seat} has not reported that its volume is empty"));
        }
    }
    Ok(())
}
