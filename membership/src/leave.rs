//! Leaving: only when the seat is certainly not wanted, and only so that the rest stays whole.

use crate::decision::{Action, Draft, Need, Phase};
use crate::ids::{MemberId, Time};
use crate::memory::Memory;
use crate::observed::{EtcdStatus, Freshness, MemberList, Observed, Wanted, Workload};
use crate::quorum::{self, Live};
use crate::timing::{BUSY, RETRY, TIME_TO_GO_FIRST};

/// How often a seat that waits for its turn looks, in milliseconds.
const TURN: u64 = 50;
/// How long the hook waits for leadership to move, in milliseconds.
const HAND_OVER: u64 = 3_000;

/// Whether `workload` says that this seat is to leave. A StatefulSet that is missing, being deleted,
/// not the owner of this pod, or that wants no seat at all (hibernation) says nothing of the kind.
pub(crate) fn leaves(o: &Observed, workload: Workload) -> bool {
    matches!(workload, Workload::Wants(wanted) if wanted.0 > 0 && !wanted.wants(o.me.seat))
}

/// Decides while the hook waits, or while the seat seems not to be wanted. `None`: nothing of this
/// kind is to be done.
pub(crate) fn leave(o: &Observed, status: &EtcdStatus, m: &mut Memory, now: Time) -> Option<Draft> {
    match o.workload.check(now) {
        Freshness::Stale => Some(Draft::look([Need::Workload, Need::Peers, list(status)])),
        // With the EtcdCluster go the agents' rights, so that the read fails for good. Not to leave needs no certainty.
        Freshness::Failed if o.hook_waits && matches!(o.hint, Some(Workload::Missing | Workload::Deleting)) => {
            Some(Draft::act(
                serving_phase(status),
                "the StatefulSet is deleted and its seats stay members: the pod may end",
                [Action::ReleaseHook { left: false }],
            ))
        }
        Freshness::Failed if o.hook_waits || m.leaving_since.is_some() => Some(
            Draft::wait(
                serving_phase(status),
                "the API server does not answer, so whether the seat is still wanted is not known: it stays a member until that is certain",
                RETRY,
            )
            .reading([Need::Workload]),
        ),
        Freshness::Failed => None,
        Freshness::Fresh(Workload::Wants(wanted)) if wanted.0 > 0 && !wanted.wants(o.me.seat) => {
            Some(go(o, status, *wanted, m, now))
        }
        Freshness::Fresh(workload) => {
            m.leaving_since = None;
            o.hook_waits.then(|| stay(o, status, *workload, m, now))
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
fn stay(o: &Observed, status: &EtcdStatus, workload: Workload, m: &Memory, now: Time) -> Draft {
    let release = Action::ReleaseHook { left: false };
    let why = "the pod is ending and its seat stays a member";
    let leads = status.leader == Some(status.identity.member);
    let patient = m.hook_since.is_some_and(|since| now.since(since) < HAND_OVER);
    if let (true, true, Workload::Wants(wanted)) = (leads, patient, workload) {
        let known = (o.list.check(now), o.peers.check(now));
        if matches!(known, (Freshness::Stale, _) | (_, Freshness::Stale)) {
            return Draft::look([Need::Workload, Need::Peers, list(status)]);
        }
        if let Some(to) = o.list.fresh(now).and_then(|l| successor(o, status, l, wanted, now)) {
            return Draft::act(
                Phase::Voter,
                "the pod is ending: leadership is handed on first",
                [Action::MoveLeader { to }, release],
            )
            .reading([Need::Peers, list(status)]);
        }
    }
    Draft::act(serving_phase(status), why, [release])
}

fn go(o: &Observed, status: &EtcdStatus, wanted: Wanted, m: &mut Memory, now: Time) -> Draft {
    let since = *m.leaving_since.get_or_insert(now);
    let me = status.identity.member;
    let again = [Need::Workload, Need::Peers, list(status)];
    let known = match (o.list.check(now), o.peers.check(now)) {
        (Freshness::Stale, _) | (_, Freshness::Stale) => return Draft::look(again),
        (Freshness::Fresh(known), Freshness::Fresh(_)) if known.cluster == status.identity.cluster => known,
        _ => {
            return wait("no linearizable read succeeds, so there may be no quorum; it serves until then")
                .within(RETRY)
                .reading(again);
        }
    };
    let live = o.live(status.identity.cluster, now);
    let gone = [Action::Tombstone, Action::ReleaseHook { left: true }];
    let Some(member) = known.members.get(&me) else {
        return Draft::act(Phase::Left, "the seat is not wanted, and its member is removed", gone);
    };
    if let Some(first) = goes_first(known, &live, wanted, o, me).filter(|_| now.since(since) < TIME_TO_GO_FIRST) {
        return wait(format!("{first} goes first")).within(TURN).reading(again);
    }
    // Before the guard: if the removal has to wait for other members to go, the agent of a wanted seat
    // beside the new leader looks after them; this one does not.
    let leads = status.leader == Some(me);
    if leads && !member.learner {
        return match successor(o, status, known, wanted, now) {
            Some(to) => Draft::act(
                Phase::Leaving,
                "the seat is not wanted: leadership is handed on before it leaves",
                [Action::MoveLeader { to }],
            )
            .within(TURN)
            .reading(again),
            None => wait("no voter of a wanted seat answers that could lead")
                .within(RETRY)
                .reading(again),
        };
    }
    if let Err(why) = quorum::may_remove(known, &live, wanted, me) {
        return wait(why).within(RETRY).reading(again);
    }
    let steps = std::iter::once(Action::Remove { member: me }).chain(gone);
    Draft::act(Phase::Leaving, "the seat is not wanted: its member is removed", steps).reading(again)
}

fn wait(why: impl AsRef<str>) -> Draft {
    Draft::wait(
        Phase::Leaving,
        format!("the seat is not wanted and is about to leave: {}", why.as_ref()),
        BUSY,
    )
}

/// The highest live member of an unwanted seat above this one: one at a time, from the top.
fn goes_first(list: &MemberList, live: &Live, wanted: Wanted, o: &Observed, me: MemberId) -> Option<crate::ids::Seat> {
    list.members
        .iter()
        .filter(|(id, _)| **id != me && live.answering.contains(id))
        .filter_map(|(_, member)| member.seat)
        .filter(|seat| !wanted.wants(*seat) && *seat > o.me.seat)
        .max()
}

/// The live voter of a wanted seat that is furthest in the log.
fn successor(o: &Observed, status: &EtcdStatus, list: &MemberList, wanted: Wanted, now: Time) -> Option<MemberId> {
    let cluster = status.identity.cluster;
    let me = status.identity.member;
    let ours = Some(list).filter(|list| list.cluster == cluster);
    ours.into_iter()
        .flat_map(MemberList::voters)
        .filter(|(id, m)| **id != me && m.seat.is_some_and(|s| wanted.wants(s)))
        .filter_map(|(id, _)| o.status_of(crate::observed::Identity { member: *id, cluster }, now))
        .filter(|s| !s.learner && !is_ending(o, list, s.identity.member, now))
        .max_by_key(|s| (s.applied, std::cmp::Reverse(s.identity.member)))
        .map(|s| s.identity.member)
}

fn is_ending(o: &Observed, list: &MemberList, member: MemberId, now: Time) -> bool {
    let seat = list.members.get(&member).and_then(|m| m.seat);
    let peers = o.peers.fresh(now);
    seat.zip(peers)
        .and_then(|(seat, peers)| peers.get(&seat))
        .is_some_and(|peer| peer.terminating)
}
