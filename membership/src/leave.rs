//! Leaving: only when the seat is certainly not wanted, and only so that the rest stays whole.

use std::collections::BTreeSet;
use std::time::Duration;

use muster_reasons::Reason;

use crate::decision::{Action, Draft, Need, Phase};
use crate::ids::{MemberId, Seat, Time};
use crate::memory::Memory;
use crate::observed::{Demand, EtcdStatus, Freshness, Identity, Live, MemberList, Observed, Wanted, Workload};
use crate::quorum;
use crate::timing::{
    BUSY_INTERVAL, RETRY_INTERVAL, TIME_TO_DRAIN, TIME_TO_END, TIME_TO_GO_FIRST, TIME_TO_HAND_OVER, TIME_WITHOUT_ETCD,
    TURN_INTERVAL,
};

/// Decides while the hook waits, or while the seat seems not to be wanted. `None`: nothing of this
/// kind is to be done.
pub(crate) fn leave(observed: &Observed, status: &EtcdStatus, memory: &mut Memory, now: Time) -> Option<Draft> {
    let workload = match observed.workload.check(now) {
        Freshness::Stale => return Some(Draft::look([Need::Workload, Need::Peers, list(status)])),
        // With the EtcdCluster go the agents' rights, so that the read fails for good. Not to leave needs no certainty.
        Freshness::Failed(_)
            if observed.hook_waits && matches!(observed.hint, Some(Workload::Missing | Workload::Deleting)) =>
        {
            return Some(Draft::act(
                serving_phase(status),
                Reason::PodEnding,
                "the StatefulSet is deleted and its seats stay members: the pod may end",
                [Action::ReleaseHook { left: false }],
            ));
        }
        Freshness::Failed(cause) if observed.hook_waits || memory.leaving_since.is_some() => {
            let (reason, clause) = cause.of_api_server();
            let why = format!(
                "{clause}, so whether the seat is still wanted is not known: it stays a member until that is certain"
            );
            let draft = Draft::wait(serving_phase(status), reason, why, RETRY_INTERVAL);
            return Some(draft.reading([Need::Workload]));
        }
        Freshness::Failed(_) => return None,
        Freshness::Fresh(workload) => *workload,
    };
    match workload.demand(observed.me.seat) {
        Demand::Unwanted(wanted) => {
            let mut draft = leave_now(observed, status, wanted, memory, now);
            let drains = drain(observed, status, wanted, now).filter(|_| draft.phase == Some(Phase::Leaving));
            draft.actions.splice(0..0, drains);
            Some(draft)
        }
        Demand::Wanted(_) | Demand::Unsaid => {
            memory.leaving_since = None;
            memory.etcd_ended = None;
            observed
                .hook_waits
                .then(|| stay_member(observed, status, workload, memory, now))
        }
    }
}

fn list(status: &EtcdStatus) -> Need {
    Need::List(Some(status.identity.cluster))
}

fn serving_phase(status: &EtcdStatus) -> Phase {
    if status.learner { Phase::Learner } else { Phase::Voter }
}

/// The pod ends for another reason than scaling: hand leadership on, let clients go elsewhere, and let it end.
fn stay_member(observed: &Observed, status: &EtcdStatus, workload: Workload, memory: &Memory, now: Time) -> Draft {
    let lasted = memory.hook_since.map_or(Duration::ZERO, |since| now.since(since));
    let drained = !matches!(workload, Workload::Wants(_)) || is_drained(observed, lasted);
    let release = drained.then_some(Action::ReleaseHook { left: false });
    let drain = (!drained && !observed.draining).then_some(Action::Drain);
    let leads = status.leader == Some(status.identity.member);
    if let (true, true, Workload::Wants(wanted)) = (leads, lasted < TIME_TO_HAND_OVER, workload) {
        if observed.list.is_stale(now) || observed.peers.is_stale(now) {
            return Draft::look([Need::Workload, Need::Peers, list(status)]);
        }
        let members = observed.list.fresh(now);
        if let Some(to) = members.and_then(|members| successor(observed, status, members, wanted, now)) {
            let steps = drain.into_iter().chain([Action::MoveLeader { to }]).chain(release);
            return Draft::act(
                Phase::Voter,
                Reason::MovingLeader,
                "the pod is ending: leadership is handed on first",
                steps,
            )
            .reading([Need::Peers, list(status)]);
        }
    }
    let why = if drained {
        "the pod is ending and its seat stays a member"
    } else {
        "the pod is ending and its seat stays a member: it serves until Services send it no new clients"
    };
    let draft = Draft::act(
        serving_phase(status),
        Reason::PodEnding,
        why,
        drain.into_iter().chain(release),
    );
    if drained { draft } else { draft.reading([Need::Peers]) }
}

/// The step that lets Services send clients elsewhere, as soon as this voter may go: also while it waits for its turn.
/// One that is needed goes on serving them.
fn drain(observed: &Observed, status: &EtcdStatus, wanted: Wanted, now: Time) -> Option<Action> {
    let Identity { member: me, cluster } = status.identity;
    let members = observed.list.fresh(now).filter(|list| list.cluster == cluster)?;
    let live = observed.peers.fresh(now).map(|_| observed.live(cluster, now))?;
    match (
        quorum::may_remove(members, &live, wanted, me).is_ok(),
        observed.draining,
    ) {
        _ if status.learner => None,
        (true, false) => Some(Action::Drain),
        (false, true) => Some(Action::Undrain),
        _ => None,
    }
}

/// True if no new clients come any more, or if that was waited for long enough.
fn is_drained(observed: &Observed, lasted: Duration) -> bool {
    observed.drained || lasted >= TIME_TO_DRAIN
}

fn leave_now(observed: &Observed, status: &EtcdStatus, wanted: Wanted, memory: &mut Memory, now: Time) -> Draft {
    let since = *memory.leaving_since.get_or_insert(now);
    let me = status.identity.member;
    let again = [Need::Workload, Need::Peers, list(status)];
    let retry = |reason, why: String| wait(reason, why).within(RETRY_INTERVAL).reading(again);
    let members = match (observed.list.check(now), observed.peers.check(now)) {
        (Freshness::Stale, _) | (_, Freshness::Stale) => return Draft::look(again),
        (Freshness::Fresh(members), Freshness::Fresh(_)) if members.cluster == status.identity.cluster => members,
        (_, Freshness::Failed(cause)) => {
            let (reason, clause) = cause.of_api_server();
            return retry(
                reason,
                format!("the other pods are not known: {clause}; it serves until then"),
            );
        }
        (members, _) => {
            let why = "no linearizable read succeeds, so there may be no quorum; it serves until then";
            let why = match members {
                Freshness::Failed(cause) => cause.of_etcd(why),
                Freshness::Fresh(_) | Freshness::Stale => why.into(),
            };
            return retry(Reason::NoMemberAnswers, why);
        }
    };
    let live = observed.live(status.identity.cluster, now);
    let gone = [Action::Tombstone, Action::ReleaseHook { left: true }];
    let Some(member) = members.members.get(&me) else {
        let why = "the seat is not wanted, and its member is removed";
        return Draft::act(Phase::Left, Reason::Left, why, gone);
    };
    let first = go_first(observed, members, &live, wanted, now);
    let patience = TIME_TO_GO_FIRST * (1 + u32::try_from(first.len()).unwrap_or(u32::MAX));
    if let Some(first) = first.last().filter(|_| now.since(since) < patience) {
        return wait(Reason::AwaitingTurn, format!("{first} goes first"))
            .within(TURN_INTERVAL)
            .reading(again);
    }
    // Before the quorum is counted: if the removal has to wait for other members to go, the agent of a wanted seat
    // beside the new leader looks after them; this one does not.
    let leads = status.leader == Some(me);
    if leads && !member.learner {
        let why = "the seat is not wanted: leadership is handed on before it leaves";
        return match successor(observed, status, members, wanted, now) {
            Some(to) => Draft::act(Phase::Leaving, Reason::MovingLeader, why, [Action::MoveLeader { to }])
                .within(TURN_INTERVAL)
                .reading(again),
            None => retry(
                Reason::MovingLeader,
                "no voter of a wanted seat answers that could lead".into(),
            ),
        };
    }
    if let Err(why) = quorum::may_remove(members, &live, wanted, me) {
        return retry(Reason::QuorumAtRisk, why);
    }
    if !member.learner && !is_drained(observed, now.since(since)) {
        return wait(Reason::Leaving, "it serves until Services send it no new clients")
            .within(TURN_INTERVAL)
            .reading([Need::Peers]);
    }
    if memory.etcd_ended.is_some_and(|at| now.since(at) < TIME_TO_END) {
        return ending();
    }
    if memory.etcd_ended.is_none() && !member.learner && quorum::may_end(members, &live, wanted, me) {
        memory.etcd_ended = Some(now);
        let why =
            "the seat is not wanted: its etcd ends before its member is removed, so that clients go to the others";
        return Draft::act(Phase::Leaving, Reason::Leaving, why, [Action::End]).reading(again);
    }
    let steps = std::iter::once(Action::Remove { member: me }).chain(gone);
    let why = "the seat is not wanted: its member is removed";
    Draft::act(Phase::Leaving, Reason::Leaving, why, steps).reading(again)
}

/// etcd was told to end, and ends.
pub(crate) fn ending() -> Draft {
    wait(Reason::Leaving, "its etcd ends, so that clients go to the others").within(TURN_INTERVAL)
}

/// Decides over data of a seat that is not wanted while etcd does not run: because it was ended to leave, or because
/// the container started while the seat left. `None`: it is started, as data always is unless all of this is certain.
pub(crate) fn without_etcd(observed: &Observed, wal: Identity, memory: &mut Memory, now: Time) -> Option<Draft> {
    let hinted = matches!(observed.hinted_demand(), Demand::Unwanted(_));
    if observed.disk.tombstone == Some(wal) || !(hinted || memory.etcd_ended.is_some()) {
        return None;
    }
    if memory.etcd_ended.is_some_and(|at| now.since(at) >= TIME_WITHOUT_ETCD) {
        return None;
    }
    let again = [Need::Workload, Need::Peers, Need::List(Some(wal.cluster))];
    let look = || Some(Draft::look(again));
    let members = match observed.list.check(now) {
        Freshness::Stale => return look(),
        Freshness::Fresh(members) if members.cluster == wal.cluster => members,
        Freshness::Fresh(_) | Freshness::Failed(_) => return None,
    };
    let workload = match (observed.workload.check(now), observed.peers.check(now)) {
        (Freshness::Failed(_), _) | (_, Freshness::Failed(_)) => return None,
        (Freshness::Stale, _) | (_, Freshness::Stale) => return look(),
        (Freshness::Fresh(workload), Freshness::Fresh(_)) => *workload,
    };
    let Demand::Unwanted(wanted) = workload.demand(observed.me.seat) else {
        return None;
    };
    let gone = [Action::Tombstone, Action::ReleaseHook { left: true }];
    let Some(member) = members.members.get(&wal.member) else {
        let why = "the seat is not wanted, and its member is removed";
        return Some(Draft::act(Phase::Left, Reason::Left, why, gone));
    };
    // It is whole, and could answer: the same is asked of the others as if it did. If it does answer, or is of another
    // seat, this volume is a copy.
    let mut live = observed.live(wal.cluster, now);
    if member.seat != Some(observed.me.seat) || !live.answering.insert(wal.member) {
        return None;
    }
    quorum::may_remove(members, &live, wanted, wal.member).ok()?;
    memory.etcd_ended.get_or_insert(now);
    let steps = std::iter::once(Action::Remove { member: wal.member }).chain(gone);
    let why = "the seat is not wanted, and its etcd does not run: its member is removed";
    Some(Draft::act(Phase::Leaving, Reason::Leaving, why, steps).reading(again))
}

fn wait(reason: Reason, why: impl AsRef<str>) -> Draft {
    Draft::wait(
        Phase::Leaving,
        reason,
        format!("the seat is not wanted and is about to leave: {}", why.as_ref()),
        BUSY_INTERVAL,
    )
}

/// The unwanted seats above this one whose members are about to leave, lowest first: one at a time, from the top. One
/// whose etcd has ended is on its way as long as its agent answers.
fn go_first(observed: &Observed, list: &MemberList, live: &Live, wanted: Wanted, now: Time) -> BTreeSet<Seat> {
    let agent_answers = |seat: Seat| {
        let peer = observed.peers.fresh(now).and_then(|peers| peers.get(&seat));
        peer.is_some_and(|peer| peer.agent.fresh(now).is_some())
    };
    list.members
        .iter()
        .filter_map(|(id, member)| Some((id, member.seat?)))
        .filter(|(_, seat)| !wanted.wants(*seat) && *seat > observed.me.seat)
        .filter(|(id, seat)| live.answering.contains(id) || agent_answers(*seat))
        .map(|(_, seat)| seat)
        .collect()
}

/// The live voter of a wanted seat that is furthest in the log.
fn successor(
    observed: &Observed,
    status: &EtcdStatus,
    list: &MemberList,
    wanted: Wanted,
    now: Time,
) -> Option<MemberId> {
    let Identity { member: me, cluster } = status.identity;
    let ours = Some(list).filter(|list| list.cluster == cluster);
    ours.into_iter()
        .flat_map(MemberList::voters)
        .filter(|(id, _)| **id != me)
        .filter(|(_, member)| {
            let seat = member.seat.filter(|seat| wanted.wants(*seat));
            seat.is_some_and(|seat| !observed.pod_is_ending(seat, now))
        })
        .filter_map(|(id, _)| observed.status_of(Identity { member: *id, cluster }, now))
        .filter(|answer| !answer.learner)
        .max_by_key(|answer| (answer.applied, std::cmp::Reverse(answer.identity.member)))
        .map(|answer| answer.identity.member)
}
