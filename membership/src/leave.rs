//! Leaving: only when the seat is certainly not wanted, and only so that the rest stays whole.

use muster_reasons::Reason;

use crate::decision::{Action, Draft, Need, Phase};
use crate::ids::{MemberId, Seat, Time};
use crate::memory::Memory;
use crate::observed::{Demand, EtcdStatus, Freshness, Identity, Live, MemberList, Observed, Wanted, Workload};
use crate::quorum;
use crate::timing::{BUSY_INTERVAL, RETRY_INTERVAL, TIME_TO_GO_FIRST, TIME_TO_HAND_OVER, TURN_INTERVAL};

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
        Demand::Unwanted(wanted) => Some(leave_now(observed, status, wanted, memory, now)),
        Demand::Wanted(_) | Demand::Unsaid => {
            memory.leaving_since = None;
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

/// The pod ends for another reason than scaling: hand leadership on, and let it end.
fn stay_member(observed: &Observed, status: &EtcdStatus, workload: Workload, memory: &Memory, now: Time) -> Draft {
    let release = Action::ReleaseHook { left: false };
    let why = "the pod is ending and its seat stays a member";
    let leads = status.leader == Some(status.identity.member);
    let patient = memory
        .hook_since
        .is_some_and(|since| now.since(since) < TIME_TO_HAND_OVER);
    if let (true, true, Workload::Wants(wanted)) = (leads, patient, workload) {
        if observed.list.is_stale(now) || observed.peers.is_stale(now) {
            return Draft::look([Need::Workload, Need::Peers, list(status)]);
        }
        let members = observed.list.fresh(now);
        if let Some(to) = members.and_then(|members| successor(observed, status, members, wanted, now)) {
            return Draft::act(
                Phase::Voter,
                Reason::MovingLeader,
                "the pod is ending: leadership is handed on first",
                [Action::MoveLeader { to }, release],
            )
            .reading([Need::Peers, list(status)]);
        }
    }
    Draft::act(serving_phase(status), Reason::PodEnding, why, [release])
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
    let first = goes_first(observed, members, &live, wanted, me);
    if let Some(first) = first.filter(|_| now.since(since) < TIME_TO_GO_FIRST) {
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
    let steps = std::iter::once(Action::Remove { member: me }).chain(gone);
    let why = "the seat is not wanted: its member is removed";
    Draft::act(Phase::Leaving, Reason::Leaving, why, steps).reading(again)
}

fn wait(reason: Reason, why: impl AsRef<str>) -> Draft {
    Draft::wait(
        Phase::Leaving,
        reason,
        format!("the seat is not wanted and is about to leave: {}", why.as_ref()),
        BUSY_INTERVAL,
    )
}

/// The highest live member of an unwanted seat above this one: one at a time, from the top.
fn goes_first(observed: &Observed, list: &MemberList, live: &Live, wanted: Wanted, me: MemberId) -> Option<Seat> {
    list.members
        .iter()
        .filter(|(id, _)| **id != me && live.answering.contains(id))
        .filter_map(|(_, member)| member.seat)
        .filter(|seat| !wanted.wants(*seat) && *seat > observed.me.seat)
        .max()
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
