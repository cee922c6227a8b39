//! Housekeeping, by the agent beside the leader or, when that fails, by a deputy:
//! what the members concerned should have done themselves and did not.

use std::cmp::Reverse;

use muster_reasons::Reason;

use crate::decision::{Action, Draft, Need, Phase};
use crate::deputy::is_deputy;
use crate::ids::{ClusterId, MemberId, Time};
use crate::memory::{Evictions, Memory};
use crate::observed::{EtcdStatus, Freshness, Identity, Live, Member, MemberList, Observed, Wanted};
use crate::progress::{self, Look};
use crate::timing::{BUSY_INTERVAL, NOTES_LIFETIME, RETRY_INTERVAL, TIME_TO_DEPUTISE, TIME_TO_LEAVE, TIME_TO_PROMOTE};
use crate::{due, promote, quorum};

/// Decides what is to be done for other members. `None`: nothing.
pub(crate) fn housekeeping(
    observed: &Observed,
    status: &EtcdStatus,
    leads: bool,
    memory: &mut Memory,
    now: Time,
) -> Option<Draft> {
    if !due::something_is_due(observed) {
        forget_notes(memory);
        memory.due_since = None;
        return None;
    }
    // What happened while this agent did not look is not known, and does not count as time in which
    // somebody had their chance.
    if memory.noted_at.is_some_and(|at| now.since(at) > NOTES_LIFETIME) {
        forget_notes(memory);
    }
    let due_since = *memory.due_since.get_or_insert(now);
    if !leads && now.since(due_since) < TIME_TO_DEPUTISE {
        return None;
    }
    let (wanted, list) = match scene(observed, status.identity.cluster, now) {
        Ok(scene) => scene,
        Err(draft) => return Some(draft),
    };
    let live = observed.live(list.cluster, now);
    if !leads && !is_deputy(list, &live, status) {
        return None;
    }
    let household = Household {
        observed,
        me: status.identity.member,
        list,
        wanted,
        live,
        now,
    };
    household.update_notes(memory);
    Some(household.next_step(memory))
}

/// Everything that a step for others is decided from.
fn needs(cluster: ClusterId) -> [Need; 3] {
    [Need::Workload, Need::Peers, Need::List(Some(cluster))]
}

/// The wanted seats and the members, by fresh reads; else what is decided without them.
fn scene(observed: &Observed, cluster: ClusterId, now: Time) -> Result<(Wanted, &MemberList), Draft> {
    let all = needs(cluster);
    let workload = observed.workload.need(now, &all, |cause| {
        let (reason, clause) = cause.of_api_server();
        busy(reason, &format!("the StatefulSet cannot be read: {clause}"), all)
    })?;
    let wanted = workload
        .seats()
        .ok_or_else(|| busy(Reason::Serving, "the StatefulSet says nothing about members", all))?;
    match (observed.list.check(now), observed.peers.check(now)) {
        (Freshness::Stale, _) | (_, Freshness::Stale) => Err(Draft::look(all)),
        (Freshness::Fresh(list), Freshness::Fresh(_)) if list.cluster == cluster => Ok((wanted, list)),
        (_, Freshness::Failed(cause)) => {
            let (reason, clause) = cause.of_api_server();
            Err(busy(reason, &format!("the other pods are not known: {clause}"), all))
        }
        (Freshness::Failed(cause), _) => {
            let why = cause.of_etcd("the members cannot be read");
            Err(busy(Reason::NoMemberAnswers, &why, all))
        }
        (Freshness::Fresh(_), _) => Err(busy(Reason::NoMemberAnswers, "the members cannot be read", all)),
    }
}

fn forget_notes(memory: &mut Memory) {
    memory.noted_at = None;
    memory.unwanted_since.clear();
    memory.ready_since.clear();
    memory.learners.clear();
}

fn busy(reason: Reason, why: &str, needs: impl IntoIterator<Item = Need>) -> Draft {
    Draft::wait(Phase::Voter, reason, format!("serves; {why}"), RETRY_INTERVAL).reading(needs)
}

/// A step for another member.
struct Duty {
    reason: Reason,
    why: String,
    action: Action,
}

/// A duty, or the sentence that says why the one that is due has to wait.
type DueDuty = Result<Duty, String>;

/// The cluster as the agent that looks after it sees it, all of it fresh.
struct Household<'a> {
    observed: &'a Observed,
    me: MemberId,
    list: &'a MemberList,
    wanted: Wanted,
    live: Live,
    now: Time,
}

impl Household<'_> {
    /// The first duty that is possible; a duty that has to wait holds up no other.
    fn next_step(&self, memory: &mut Memory) -> Draft {
        let all = needs(self.list.cluster);
        // An agent that has begun to leave promotes nobody.
        let promote = if memory.leaving_since.is_none() {
            self.promote(memory)
        } else {
            None
        };
        let duties = [self.remove_unwanted(memory), promote, self.evict(memory)];
        let (possible, waiting): (Vec<_>, Vec<_>) = duties.into_iter().flatten().partition(Result::is_ok);
        match possible.into_iter().chain(waiting).next() {
            Some(Ok(duty)) => {
                if let Action::Remove { member } = duty.action {
                    self.count_eviction(memory, member);
                }
                let why = format!("serves; {}", duty.why);
                Draft::act(Phase::Voter, duty.reason, why, [duty.action])
                    .within(RETRY_INTERVAL)
                    .reading(all)
            }
            Some(Err(why)) => busy(Reason::QuorumAtRisk, &why, all),
            None => self.await_members(),
        }
    }

    /// Others are still expected to act themselves.
    fn await_members(&self) -> Draft {
        let draft = busy(Reason::AwaitingMembers, &self.awaited(), []).within(BUSY_INTERVAL);
        // The local etcd's list is looked at each time, and shows first who has left: the others need not be asked
        // that often.
        let read = self.observed.list.seen.as_ref();
        if read.is_some_and(|(at, _)| self.now.since(*at) < RETRY_INTERVAL) {
            draft
        } else {
            draft.reading([Need::Peers, Need::List(Some(self.list.cluster))])
        }
    }

    fn awaited(&self) -> String {
        let members = self.list.members.values();
        let leaving: Vec<_> = members
            .filter(|member| due::is_unwanted(member, self.wanted))
            .map(Member::label)
            .collect();
        if leaving.is_empty() {
            "a learner is catching up".into()
        } else {
            format!("{} should leave by itself", leaving.join(", "))
        }
    }

    /// Notes since when each member has been unwanted, ready, or without progress.
    fn update_notes(&self, memory: &mut Memory) {
        let now = self.now;
        let listed = |id: &MemberId| self.list.members.get(id);
        memory.noted_at = Some(now);
        memory
            .unwanted_since
            .retain(|id, _| listed(id).is_some_and(|member| due::is_unwanted(member, self.wanted)));
        memory.ready_since.retain(|id, _| self.is_ready(*id));
        memory
            .learners
            .retain(|id, _| listed(id).is_some_and(|member| member.learner));
        for (id, member) in &self.list.members {
            if due::is_unwanted(member, self.wanted) {
                memory.unwanted_since.entry(*id).or_insert(now);
            }
            if member.learner {
                if self.is_ready(*id) {
                    memory.ready_since.entry(*id).or_insert(now);
                }
                let look = self.look_at(*id, member);
                let watch = progress::note(memory.learners.get(id).copied(), look, now);
                memory.learners.insert(*id, watch);
            }
        }
    }

    fn status(&self, id: MemberId) -> Option<&EtcdStatus> {
        let identity = Identity {
            member: id,
            cluster: self.list.cluster,
        };
        self.observed.status_of(identity, self.now)
    }

    /// A look at a learner: by its etcd, and by its agent while etcd is silent.
    fn look_at(&self, id: MemberId, member: &Member) -> Look {
        let peers = self.observed.peers.fresh(self.now);
        let report = member
            .seat
            .zip(peers)
            .and_then(|(seat, peers)| peers.get(&seat))
            .and_then(|peer| peer.agent.fresh(self.now));
        Look {
            applied: self.status(id).map(|status| status.applied),
            bytes: report.map(|report| report.snapshot_bytes),
            // A learner that has caught up has nothing left to make progress with.
            caught_up: self.has_caught_up(id),
        }
    }

    /// True for a learner of a wanted seat that answers, has caught up, and does not end.
    fn is_ready(&self, id: MemberId) -> bool {
        let Some(member) = self.list.members.get(&id).filter(|member| member.learner) else {
            return false;
        };
        let ending = member
            .seat
            .and_then(|seat| self.observed.peers.fresh(self.now)?.get(&seat))
            .is_none_or(|peer| peer.terminating);
        self.has_caught_up(id) && !ending && member.seat.is_some_and(|seat| self.wanted.wants(seat))
    }

    fn has_caught_up(&self, id: MemberId) -> bool {
        self.status(id)
            .is_some_and(|status| promote::has_caught_up(self.observed, status, self.now))
    }

    /// Members of unwanted seats whose pod is gone, or that had their time: dead ones first, then
    /// from the top.
    fn remove_unwanted(&self, memory: &Memory) -> Option<DueDuty> {
        let overdue = |id: &MemberId, member: &Member| {
            let gone = member
                .seat
                .is_some_and(|seat| self.observed.pod_is_gone(seat, self.now));
            let had_time = memory
                .unwanted_since
                .get(id)
                .is_some_and(|since| self.now.since(*since) >= TIME_TO_LEAVE);
            gone || had_time
        };
        let mut candidates: Vec<_> = self
            .list
            .members
            .iter()
            .filter(|(id, member)| **id != self.me && due::is_unwanted(member, self.wanted) && overdue(id, member))
            .collect();
        candidates.sort_by_key(|(id, member)| (self.live.answering.contains(id), Reverse(member.seat)));
        let mut blocked = None;
        for (id, member) in candidates {
            let label = member.label();
            match quorum::may_remove(self.list, &self.live, self.wanted, *id) {
                Ok(()) => {
                    return Some(Ok(Duty {
                        reason: Reason::RemovingMember,
                        why: format!("{label} is not wanted and has not left by itself: it is removed"),
                        action: Action::Remove { member: *id },
                    }));
                }
                Err(why) => {
                    blocked.get_or_insert(format!("{label} is not wanted and cannot be removed yet: {why}"));
                }
            }
        }
        blocked.map(Err)
    }

    fn promote(&self, memory: &Memory) -> Option<DueDuty> {
        let (id, since) = memory.ready_since.iter().next()?;
        if self.now.since(*since) < TIME_TO_PROMOTE {
            return None;
        }
        let label = self.list.members.get(id)?.label();
        Some(match quorum::may_promote(self.list, &self.live, *id) {
            Ok(()) => Ok(Duty {
                reason: Reason::Promoting,
                why: format!("{label} has caught up and was not promoted by its own agent: it is promoted"),
                action: Action::Promote { member: *id },
            }),
            Err(why) => Err(format!("{label} has caught up and cannot be promoted yet: {why}")),
        })
    }

    /// A learner that is silent and makes no progress, or stands still while another seat waits for the learner slot.
    fn evict(&self, memory: &Memory) -> Option<DueDuty> {
        let another_waits = self.wanted.seats().any(|seat| self.list.of(seat).next().is_none());
        let (id, label) = self.list.learners().find_map(|(id, member)| {
            let watch = memory.learners.get(id)?;
            let answers = self.live.answering.contains(id);
            let stuck = !answers || (another_waits && !self.has_caught_up(*id));
            let patience = progress::patience(memory, member.seat, *id);
            let tried = progress::had_its_time(*watch, patience, answers, self.now);
            let of_wanted_seat = member.seat.is_some() && !due::is_unwanted(member, self.wanted);
            (stuck && tried && of_wanted_seat).then(|| (*id, member.label()))
        })?;
        Some(match quorum::may_remove(self.list, &self.live, self.wanted, id) {
            Ok(()) => Ok(Duty {
                reason: Reason::EvictingLearner,
                why: format!("the learner of {label} has made no progress for long: it is removed, and may join again"),
                action: Action::Remove { member: id },
            }),
            Err(why) => Err(format!(
                "the learner of {label} makes no progress and cannot be removed: {why}"
            )),
        })
    }

    /// Remembers that the learner of a wanted seat is removed: the next one gets more time.
    fn count_eviction(&self, memory: &mut Memory, removed: MemberId) {
        let removed_member = self.list.members.get(&removed);
        let wanted = removed_member.filter(|member| !due::is_unwanted(member, self.wanted));
        let Some(seat) = wanted.and_then(|member| member.seat) else {
            return;
        };
        let evictions = memory.evictions.entry(seat).or_insert(Evictions {
            count: 0,
            last: removed,
        });
        if evictions.count == 0 || evictions.last != removed {
            evictions.count = evictions.count.saturating_add(1);
            evictions.last = removed;
        }
    }
}
