//! Looking after the cluster, by the agent beside the leader or, when that fails, by a deputy:
//! what the members concerned should have done themselves and did not.

use crate::decision::{Action, Draft, Need, Phase};
use crate::ids::{ClusterId, MemberId, Seat, Time};
use crate::memory::{Evictions, LearnerWatch, Memory};
use crate::observed::{EtcdStatus, Freshness, Identity, Member, MemberList, Observed, Wanted, Workload};
use crate::quorum::{self, Live};
use crate::running::lag_behind_leader;
use crate::timing::{
    BUSY, NOTES_LAPSE, PATIENCE, PATIENCE_DOUBLINGS, RETRY, TIME_TO_DEPUTISE, TIME_TO_LEAVE, TIME_TO_PROMOTE,
};

/// Patience only ever grows while this agent lives. An eviction that has to be tried twice is one.
fn patience(m: &Memory, seat: Option<Seat>, learner: MemberId) -> u64 {
    let evictions = seat
        .and_then(|seat| m.evictions.get(&seat))
        .map_or(0, |e| match e.last == learner {
            true => e.count - 1,
            false => e.count,
        });
    PATIENCE << evictions.min(PATIENCE_DOUBLINGS)
}

/// Whether a wanted seat has no member yet, as far as own etcd and the watch tell.
pub(crate) fn lacks_members(o: &Observed) -> bool {
    let (Some(Workload::Wants(wanted)), Some(list)) = (o.hint, &o.local_list) else {
        return false;
    };
    wanted.seats().any(|seat| list.of(seat).next().is_none())
}

/// Decides what is to be done for other members. `None`: nothing.
pub(crate) fn housekeeping(o: &Observed, status: &EtcdStatus, leads: bool, m: &mut Memory, now: Time) -> Option<Draft> {
    if !something_is_due(o) {
        forget_notes(m);
        m.due_since = None;
        return None;
    }
    // What happened while this agent did not look is not known, and does not count as time in which
    // somebody had their chance.
    if m.noted_at.is_some_and(|at| now.since(at) > NOTES_LAPSE) {
        forget_notes(m);
    }
    let due_since = *m.due_since.get_or_insert(now);
    if !leads && now.since(due_since) < TIME_TO_DEPUTISE {
        return None;
    }
    let cluster = status.identity.cluster;
    let all = [Need::Workload, Need::Peers, Need::List(Some(cluster))];
    let wanted = match o.workload.check(now) {
        Freshness::Stale => return Some(Draft::look(all)),
        Freshness::Fresh(Workload::Wants(wanted)) if wanted.0 > 0 => *wanted,
        _ => {
            return Some(busy(
                "the StatefulSet cannot be read, or says nothing about members",
                all,
            ));
        }
    };
    let list = match (o.list.check(now), o.peers.check(now)) {
        (Freshness::Stale, _) | (_, Freshness::Stale) => return Some(Draft::look(all)),
        (Freshness::Fresh(list), Freshness::Fresh(_)) if list.cluster == cluster => list,
        _ => return Some(busy("the members cannot be read", all)),
    };
    let live = o.live(cluster, now);
    if !leads && deputy(list, &live) != Some(status.identity.member) {
        return None;
    }
    let scene = Scene {
        o,
        me: status.identity.member,
        list,
        wanted,
        live,
        now,
    };
    scene.take_notes(m);
    // Who has begun to leave promotes nobody.
    let promote = if m.leaving_since.is_none() {
        scene.promote(m)
    } else {
        None
    };
    // A step that has to wait holds up no other.
    let steps = [scene.remove_unwanted(m), promote, scene.evict(m)];
    let (possible, waiting): (Vec<_>, Vec<_>) = steps.into_iter().flatten().partition(Result::is_ok);
    let step = possible.into_iter().chain(waiting).next();
    if let Some(Ok((_, Action::Remove { member }))) = &step {
        scene.count_eviction(m, *member);
    }
    Some(match step {
        Some(Ok((why, action))) => Draft::act(Phase::Voter, why, [action]).within(RETRY).reading(all),
        Some(Err(why)) => busy(&why, all),
        None => {
            // Own etcd's list is looked at each time, and shows first who has left: the others need not be asked
            // that often.
            let asked = o.list.seen.as_ref().is_some_and(|(at, _)| now.since(*at) < RETRY);
            let draft = busy(&scene.pending(), []).within(BUSY);
            if asked {
                draft
            } else {
                draft.reading([Need::Peers, Need::List(Some(cluster))])
            }
        }
    })
}

fn forget_notes(m: &mut Memory) {
    m.noted_at = None;
    m.unwanted_since.clear();
    m.ready_since.clear();
    m.learners.clear();
}

fn busy(why: &str, needs: impl IntoIterator<Item = Need>) -> Draft {
    Draft::wait(Phase::Voter, format!("serves; {why}"), RETRY).reading(needs)
}

/// Due: a member of an unwanted seat, or a learner. A learner that is of no seat is a person's business.
pub(crate) fn something_is_due(o: &Observed) -> bool {
    let (Some(Workload::Wants(wanted)), Some(list)) = (o.hint, &o.local_list) else {
        return false;
    };
    wanted.0 > 0
        && list
            .members
            .values()
            .any(|m| m.seat.is_some() && (m.learner || unwanted(m, wanted)))
}

fn unwanted(member: &Member, wanted: Wanted) -> bool {
    member.seat.is_some_and(|seat| !wanted.wants(seat))
}

/// The voter of the lowest seat that answers: seats that are wanted are lower than those that are not.
fn deputy(list: &MemberList, live: &Live) -> Option<MemberId> {
    list.voters()
        .filter(|(id, _)| live.answering.contains(id))
        .filter_map(|(id, member)| member.seat.map(|seat| (seat, *id)))
        .min()
        .map(|(_, id)| id)
}

/// A step with its sentence, or why the step that is due has to wait.
type Step = Result<(String, Action), String>;

struct Scene<'a> {
    o: &'a Observed,
    me: MemberId,
    list: &'a MemberList,
    wanted: Wanted,
    live: Live,
    now: Time,
}

impl Scene<'_> {
    fn cluster(&self) -> ClusterId {
        self.list.cluster
    }

    fn is_unwanted(&self, member: &Member) -> bool {
        unwanted(member, self.wanted)
    }

    /// Since when each member has been unwanted, ready, or without progress.
    fn take_notes(&self, m: &mut Memory) {
        let now = self.now;
        m.noted_at = Some(now);
        m.unwanted_since
            .retain(|id, _| self.list.members.get(id).is_some_and(|x| self.is_unwanted(x)));
        m.ready_since.retain(|id, _| self.is_ready(*id));
        m.learners
            .retain(|id, _| self.list.members.get(id).is_some_and(|x| x.learner));
        for (id, member) in &self.list.members {
            if self.is_unwanted(member) {
                m.unwanted_since.entry(*id).or_insert(now);
            }
            if member.learner {
                if self.is_ready(*id) {
                    m.ready_since.entry(*id).or_insert(now);
                }
                let progress = self.progress(*id, member);
                let watch = m.learners.entry(*id).or_insert(LearnerWatch { progress, since: now });
                // Who has caught up has nothing left to make progress with.
                if self.live.answering.contains(id) && (watch.progress != progress || self.caught_up(*id)) {
                    *watch = LearnerWatch { progress, since: now };
                }
            }
        }
    }

    fn status(&self, id: MemberId) -> Option<&EtcdStatus> {
        self.o.status_of(
            Identity {
                member: id,
                cluster: self.cluster(),
            },
            self.now,
        )
    }

    fn progress(&self, id: MemberId, member: &Member) -> (u64, u64) {
        let peers = self.o.peers.fresh(self.now);
        let report = member
            .seat
            .zip(peers)
            .and_then(|(seat, peers)| peers.get(&seat))
            .and_then(|peer| peer.agent.fresh(self.now));
        (
            self.status(id).map_or(0, |s| s.applied),
            report.map_or(0, |r| r.snapshot_bytes),
        )
    }

    /// A learner of a wanted seat that answers, has caught up, and does not end.
    fn is_ready(&self, id: MemberId) -> bool {
        let Some(member) = self.list.members.get(&id).filter(|x| x.learner) else {
            return false;
        };
        let ending = member
            .seat
            .and_then(|seat| self.o.peers.fresh(self.now)?.get(&seat))
            .is_none_or(|peer| peer.terminating);
        self.caught_up(id) && !ending && member.seat.is_some_and(|s| self.wanted.wants(s))
    }

    fn caught_up(&self, id: MemberId) -> bool {
        self.status(id)
            .and_then(|status| lag_behind_leader(self.o, status, self.now))
            .is_some_and(|lag| lag <= crate::timing::PROMOTION_LAG)
    }

    /// Members of unwanted seats whose pod is gone, or that had their time: dead ones first, then
    /// from the top.
    fn remove_unwanted(&self, m: &Memory) -> Option<Step> {
        let overdue = |id: &MemberId, member: &Member| {
            let gone = member.seat.is_some_and(|seat| self.o.pod_is_gone(seat, self.now));
            let had_time = m
                .unwanted_since
                .get(id)
                .is_some_and(|since| self.now.since(*since) >= TIME_TO_LEAVE);
            gone || had_time
        };
        let mut candidates: Vec<_> = self
            .list
            .members
            .iter()
            .filter(|(id, member)| **id != self.me && self.is_unwanted(member) && overdue(id, member))
            .collect();
        candidates.sort_by_key(|(id, member)| (self.live.answering.contains(id), std::cmp::Reverse(member.seat)));
        let mut blocked = None;
        for (id, member) in candidates {
            match quorum::may_remove(self.list, &self.live, self.wanted, *id) {
                Ok(()) => {
                    let why = format!(
                        "serves; {} is not wanted and has not left by itself: it is removed",
                        member.label()
                    );
                    return Some(Ok((why, Action::Remove { member: *id })));
                }
                Err(why) => {
                    blocked.get_or_insert(format!(
                        "{} is not wanted and cannot be removed yet: {why}",
                        member.label()
                    ));
                }
            }
        }
        blocked.map(Err)
    }

    fn promote(&self, m: &Memory) -> Option<Step> {
        let (id, since) = m.ready_since.iter().next()?;
        if self.now.since(*since) < TIME_TO_PROMOTE {
            return None;
        }
        let label = self.list.members.get(id)?.label();
        Some(match quorum::may_promote(self.list, &self.live, *id) {
            Ok(()) => Ok((
                format!("serves; {label} has caught up and was not promoted by its own agent: it is promoted"),
                Action::Promote { member: *id },
            )),
            Err(why) => Err(format!("{label} has caught up and cannot be promoted yet: {why}")),
        })
    }

    /// A learner that is unreachable, or stands still while another seat waits for the learner slot.
    fn evict(&self, m: &Memory) -> Option<Step> {
        let another_waits = self.wanted.seats().any(|seat| self.list.of(seat).next().is_none());
        let (id, label) = self.list.learners().find_map(|(id, member)| {
            let watch = m.learners.get(id)?;
            let stuck = !self.live.answering.contains(id) || (another_waits && !self.caught_up(*id));
            let tried = self.now.since(watch.since) >= patience(m, member.seat, *id);
            (stuck && tried && member.seat.is_some() && !self.is_unwanted(member)).then(|| (*id, member.label()))
        })?;
        Some(match quorum::may_remove(self.list, &self.live, self.wanted, id) {
            Ok(()) => Ok((
                format!(
                    "serves; the learner of {label} has made no progress for long: it is removed, and may join again"
                ),
                Action::Remove { member: id },
            )),
            Err(why) => Err(format!(
                "the learner of {label} makes no progress and cannot be removed: {why}"
            )),
        })
    }

    /// Remembers that the learner of a wanted seat is removed: the next one gets more time.
    fn count_eviction(&self, m: &mut Memory, removed: MemberId) {
        let Some(member) = self.list.members.get(&removed).filter(|x| !self.is_unwanted(x)) else {
            return;
        };
        let Some(seat) = member.seat else { return };
        let evictions = m.evictions.entry(seat).or_insert(Evictions {
            count: 0,
            last: removed,
        });
        if evictions.count == 0 || evictions.last != removed {
            evictions.count = evictions.count.saturating_add(1);
            evictions.last = removed;
        }
    }

    /// What the others are still expected to do themselves.
    fn pending(&self) -> String {
        let leaving: Vec<_> = self
            .list
            .members
            .values()
            .filter(|x| self.is_unwanted(x))
            .map(Member::label)
            .collect();
        if leaving.is_empty() {
            "a learner is catching up".into()
        } else {
            format!("{} should leave by itself", leaving.join(", "))
        }
    }
}
