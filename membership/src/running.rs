//! etcd runs: become a voter, leave when the seat is not wanted, look after the cluster, or rest.

use crate::decision::{Action, Draft, Need, Phase};
use crate::ids::Time;
use crate::memory::Memory;
use crate::observed::{BirthPhase, EtcdStatus, Freshness, Identity, Observed, Workload};
use crate::quorum;
use crate::timing::{BIRTH_CHECK, BIRTH_CHECK_AT_REST, BUSY, PROMOTION_LAG, REST, RETRY};
use crate::{housekeeping, leave, outage};

/// Decides beside a running etcd.
pub(crate) fn running(o: &Observed, m: &mut Memory, now: Time) -> Draft {
    let mut draft = match o.local.fresh(now) {
        None => silent(o, m, now),
        Some(status) => answering(o, status, m, now),
    };
    // From here on a missing WAL means a lost volume, not a start that has not happened.
    if o.disk.wal.is_some() && !o.disk.wal_seen {
        draft.actions.insert(0, Action::NoteWal);
    }
    draft
}

/// etcd does not answer, so nothing can be asked of it; a hook that waits is not kept for long.
fn silent(o: &Observed, m: &Memory, now: Time) -> Draft {
    if m.hook_since.is_some_and(|since| now.since(since) > RETRY)
        && o.workload.fresh(now).is_some_and(|w| !leave::leaves(o, *w))
    {
        return Draft::act(
            Phase::Waiting,
            "the pod is ending and its seat stays a member",
            [Action::ReleaseHook { left: false }],
        );
    }
    // A member that starts for the first time also serves its peers first, and has a cluster to catch up with.
    let draft = match outage::since_start(o, now) {
        Some(why) if o.disk.wal_seen => Draft::wait(Phase::Waiting, why, RETRY),
        _ => match &o.local.seen {
            None => Draft::wait(Phase::Joining, "etcd is starting and does not answer yet", BUSY),
            // Stuck, or slower than a look waits: it answered since it started.
            Some((_, last)) => {
                let phase = match last.learner {
                    _ if m.leaving_since.is_some() || o.disk.tombstone == Some(last.identity) => Phase::Leaving,
                    true => Phase::Learner,
                    false => Phase::Voter,
                };
                Draft::wait(
                    phase,
                    "etcd runs and does not answer at the moment: it is stuck or slow",
                    RETRY,
                )
            }
        },
    };
    if o.hook_waits {
        draft.reading([Need::Workload])
    } else {
        draft
    }
}

fn answering(o: &Observed, status: &EtcdStatus, m: &mut Memory, now: Time) -> Draft {
    let may_leave = o.hook_waits || m.leaving_since.is_some() || o.hint.is_some_and(|w| leave::leaves(o, w));
    if may_leave && let Some(draft) = leave::leave(o, status, m, now) {
        return leaving(o, status, draft, m, now);
    }
    if status.learner {
        return learner(o, status, now);
    }
    let prune = if m.pruned { None } else { Some(Action::PruneArchives) };
    m.pruned = true;
    let mut draft = voter(o, status, m, now);
    if may_leave && o.workload.fresh(now).is_none() {
        draft.needs.insert(Need::Workload);
    }
    draft.actions.extend(prune);
    draft
}

/// A voter that has to wait before it can leave goes on looking after the others: what it waits for may wait
/// for that, if no voter of a wanted seat is there to do it.
fn leaving(o: &Observed, status: &EtcdStatus, mut leave: Draft, m: &mut Memory, now: Time) -> Draft {
    let waits = leave.phase == Some(Phase::Leaving) && leave.actions.is_empty();
    let (true, false, Some(leader)) = (waits, status.learner, status.leader) else {
        return leave;
    };
    let leads = leader == status.identity.member;
    let others =
        birth_record(o, status, leads, m, now).or_else(|| housekeeping::housekeeping(o, status, leads, m, now));
    match others {
        Some(draft) if !draft.actions.is_empty() => draft,
        Some(draft) => {
            leave.needs.extend(draft.needs);
            leave
        }
        None => leave,
    }
}

fn voter(o: &Observed, status: &EtcdStatus, m: &mut Memory, now: Time) -> Draft {
    let Some(leader) = status.leader else {
        return Draft::wait(Phase::Voter, outage::no_leader(o, now), REST);
    };
    let leads = leader == status.identity.member;
    if let Some(draft) = birth_record(o, status, leads, m, now) {
        return draft;
    }
    if let Some(draft) = housekeeping::housekeeping(o, status, leads, m, now) {
        return draft;
    }
    let strangers = o
        .local_list
        .iter()
        .flat_map(|l| l.members.values())
        .filter(|x| x.seat.is_none())
        .count();
    let why = match (strangers, leads) {
        (0, true) => "serves as the leader".into(),
        (0, false) => "serves as a follower".into(),
        (n, _) => format!("serves; {n} members belong to no seat of this cluster and are left alone"),
    };
    Draft::wait(Phase::Voter, why, REST)
}

/// The record must say "formed", once: the founder's agent writes it; the leader's agent writes it
/// again if it is gone, and looks for that often only while somebody is known to need it.
fn birth_record(o: &Observed, status: &EtcdStatus, leads: bool, m: &mut Memory, now: Time) -> Option<Draft> {
    // A seat whose volume is gone needs it too, and its old member is still listed: hence the second pace.
    let pace = if housekeeping::lacks_members(o) {
        BIRTH_CHECK
    } else {
        BIRTH_CHECK_AT_REST
    };
    let due = m.formed_as_of.is_none_or(|at| now.since(at) > pace);
    if !leads || !due {
        return None;
    }
    let cluster = status.identity.cluster;
    match o.birth.check(now) {
        // With what housekeeping needs: read in turns, one would be stale when the other is there, without end.
        Freshness::Stale if housekeeping::something_is_due(o) => Some(Draft::look([
            Need::Birth,
            Need::Workload,
            Need::Peers,
            Need::List(Some(cluster)),
        ])),
        Freshness::Stale => Some(Draft::look([Need::Birth])),
        // The record is for others; this seat's own work goes on.
        Freshness::Failed => None,
        Freshness::Fresh(birth) => {
            let write = match birth {
                None => Action::RepublishBirth { cluster },
                Some(b) if b.phase == BirthPhase::Unclaimed => Action::RepublishBirth { cluster },
                Some(b) if b.phase == BirthPhase::Claimed && b.cluster == Some(cluster) => Action::MarkFormed,
                Some(_) => {
                    m.formed_as_of = Some(now);
                    return None;
                }
            };
            Some(
                Draft::act(
                    Phase::Voter,
                    "the birth record is to say that the cluster is formed",
                    [write],
                )
                .reading([Need::Birth]),
            )
        }
    }
}

fn learner(o: &Observed, status: &EtcdStatus, now: Time) -> Draft {
    let cluster = status.identity.cluster;
    let me = status.identity.member;
    let all = [Need::Workload, Need::Peers, Need::List(Some(cluster))];
    match o.workload.check(now) {
        Freshness::Stale => return Draft::look(all),
        Freshness::Fresh(Workload::Wants(w)) if w.wants(o.me.seat) => {}
        Freshness::Fresh(_) => {
            return wait("is not promoted: the StatefulSet does not want this seat")
                .within(RETRY)
                .reading(all);
        }
        Freshness::Failed => {
            return wait(
                "is not promoted yet: the API server does not answer, so whether the seat is wanted is not known",
            )
            .within(RETRY)
            .reading(all);
        }
    }
    if o.peers.check(now) == Freshness::Stale {
        return Draft::look(all);
    }
    let list = match o.list.check(now) {
        Freshness::Stale => return Draft::look(all),
        Freshness::Fresh(list) if list.cluster == cluster => list,
        _ => {
            return wait("catches up; no member answers a linearizable read, so the promotion waits")
                .within(RETRY)
                .reading(all);
        }
    };
    let again = [Need::Peers, Need::List(Some(cluster))];
    match list.members.get(&me) {
        None => return wait("is no longer listed as a member; etcd ends by itself").reading(again),
        Some(listed) if !listed.learner => return wait("was promoted; etcd is about to notice").reading(again),
        Some(_) => {}
    }
    let Some(lag) = lag_behind_leader(o, status, now) else {
        return wait("catches up; the leader does not answer").reading(again);
    };
    if lag > PROMOTION_LAG {
        return wait("catches up with the leader").reading(again);
    }
    match quorum::may_promote(list, &o.live(cluster, now), me) {
        Ok(()) => Draft::act(
            Phase::Learner,
            match &o.refusal {
                Some(refusal) => format!("has caught up: asks to become a voter; etcd refused so far: {refusal}"),
                None => "has caught up: asks to become a voter".into(),
            },
            [Action::Promote { member: me }],
        )
        .reading(again),
        Err(why) => wait(format!("has caught up, and is not promoted yet: {why}")).reading(again),
    }
}

/// How many entries a learner's applied index is behind the leader's.
pub(crate) fn lag_behind_leader(o: &Observed, learner: &EtcdStatus, now: Time) -> Option<u64> {
    let cluster = learner.identity.cluster;
    let leader = o.status_of(
        Identity {
            member: learner.leader?,
            cluster,
        },
        now,
    )?;
    (leader.leader == learner.leader).then(|| leader.applied.saturating_sub(learner.applied))
}

fn wait(why: impl Into<String>) -> Draft {
    Draft::wait(Phase::Learner, why, BUSY)
}
