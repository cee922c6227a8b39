//! Promotion: a learner that has caught up gets its vote.

use muster_reasons::Reason;

use crate::decision::{Action, Draft, Need, Phase, either};
use crate::ids::Time;
use crate::observed::{EtcdStatus, Identity, Observed};
use crate::quorum;
use crate::timing::{BUSY_INTERVAL, PROMOTION_LAG, REST_INTERVAL, RETRY_INTERVAL};

/// Decides beside the local etcd while it is a learner.
///
/// etcd itself checks too little: a learner that died after it had caught up passes, and so does one that
/// is a tenth of the log behind.
pub(crate) fn learner(observed: &Observed, status: &EtcdStatus, now: Time) -> Draft {
    either(own_promotion(observed, status, now))
}

fn own_promotion(observed: &Observed, status: &EtcdStatus, now: Time) -> Result<Draft, Draft> {
    let cluster = status.identity.cluster;
    let me = status.identity.member;
    let again = [Need::Peers, Need::List(Some(cluster))];
    let all = [Need::Workload, again[0], again[1]];
    let retry = |reason, why: String| wait(reason, why).within(RETRY_INTERVAL).reading(all);
    if observed.container_ends {
        let why = "is not promoted: the pod is ending";
        return Err(wait(Reason::PodEnding, why).within(REST_INTERVAL));
    }
    observed.wanted_here(
        now,
        &all,
        |cause| {
            let (reason, clause) = cause.of_api_server();
            let why = format!("is not promoted yet: {clause}, so whether the seat is wanted is not known");
            retry(reason, why)
        },
        || {
            let why = "is not promoted: the StatefulSet does not want this seat".into();
            retry(Reason::SeatNotWanted, why)
        },
    )?;
    if observed.peers.is_stale(now) {
        return Err(Draft::look(all));
    }
    let nobody = "catches up; no member answers a linearizable read, so the promotion waits";
    let list = observed
        .list
        .need(now, &all, |cause| retry(Reason::NoMemberAnswers, cause.of_etcd(nobody)))?;
    if list.cluster != cluster {
        return Err(retry(Reason::NoMemberAnswers, nobody.into()));
    }
    match list.members.get(&me) {
        None => {
            let why = "is no longer listed as a member; etcd ends by itself";
            return Err(wait(Reason::MemberRemoved, why).reading(again));
        }
        Some(listed) if !listed.learner => {
            let why = "was promoted; etcd is about to notice";
            return Err(wait(Reason::Promoted, why).reading(again));
        }
        Some(_) => {}
    }
    let Some(lag) = lag_behind_leader(observed, status, now) else {
        let why = "catches up; the leader does not answer";
        return Err(wait(Reason::LeaderNotAnswering, why).reading(again));
    };
    if lag > PROMOTION_LAG {
        return Err(wait(Reason::CatchingUp, "catches up with the leader").reading(again));
    }
    quorum::may_promote(list, &observed.live(cluster, now), me).map_err(|why| {
        let why = format!("has caught up, and is not promoted yet: {why}");
        wait(Reason::QuorumAtRisk, why).reading(again)
    })?;
    let (reason, why) = match &observed.refusal {
        Some(refusal) => (
            Reason::RefusedByEtcd,
            format!("has caught up: asks to become a voter; etcd refused so far: {refusal}"),
        ),
        None => (Reason::Promoting, "has caught up: asks to become a voter".into()),
    };
    Ok(Draft::act(Phase::Learner, reason, why, [Action::Promote { member: me }]).reading(again))
}

/// True if the learner's applied index is close enough to the leader's, and the leader is known.
pub(crate) fn has_caught_up(observed: &Observed, learner: &EtcdStatus, now: Time) -> bool {
    lag_behind_leader(observed, learner, now).is_some_and(|lag| lag <= PROMOTION_LAG)
}

/// Log entries by which a learner's applied index is behind the leader's.
fn lag_behind_leader(observed: &Observed, learner: &EtcdStatus, now: Time) -> Option<u64> {
    let identity = Identity {
        member: learner.leader?,
        cluster: learner.identity.cluster,
    };
    let leader = observed.status_of(identity, now)?;
    (leader.leader == learner.leader).then(|| leader.applied.saturating_sub(learner.applied))
}

fn wait(reason: Reason, why: impl Into<String>) -> Draft {
    Draft::wait(Phase::Learner, reason, why, BUSY_INTERVAL)
}
