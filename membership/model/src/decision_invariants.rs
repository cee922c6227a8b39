//! The invariants of a decision itself, given what was seen: 4, 6 and 7.

use muster_membership::{Action, ArchiveReason, Decision, StartPlan};

use crate::etcd;
use crate::intern::Pools;
use crate::phrases;
use crate::state::Id;
use crate::view::View;

/// The invariant that `decision` breaks, if any.
pub fn broken(view: &View, pools: &Pools, decision: &Decision) -> Option<String> {
    acts_on_nothing(view, decision)
        .or_else(|| rises_while_it_ends(view, decision))
        .or_else(|| stands_still(view, pools, decision))
}

/// A seat whose hook has asked neither joins nor gets a vote.
fn rises_while_it_ends(view: &View, decision: &Decision) -> Option<String> {
    let own = |member: u64| Id::from_number(member).is_some_and(|id| id.seat() == view.seat);
    let rises = |action: &&Action| match action {
        Action::AddLearner | Action::ClaimBirth { .. } => true,
        Action::Promote { member } => own(member.0),
        _ => false,
    };
    let action = decision.actions.iter().find(rises).filter(|_| view.hook_waits)?;
    Some(format!("it {}, although its pod is ending", phrases::action(action)))
}

/// Invariant 6: what could not be read moves nothing.
fn acts_on_nothing(view: &View, decision: &Decision) -> Option<String> {
    let wanted = view.api.filter(|api| !api.deleting).map(|api| api.wanted);
    let knows_wanted = wanted.is_some();
    for action in &decision.actions {
        let known = match action {
            Action::AddLearner | Action::Promote { .. } | Action::Remove { .. } => knows_wanted && view.list.is_some(),
            Action::Tombstone => knows_wanted && view.list.is_some(),
            Action::ClaimBirth { .. } => knows_wanted,
            Action::Archive(ArchiveReason::Removed) => knows_wanted,
            Action::Archive(ArchiveReason::Corrupt) => view.list.is_some(),
            _ => true,
        };
        if !known {
            let what = phrases::action(action);
            return Some(format!("it {what}, although what it needs to know could not be read"));
        }
        if let Action::Remove { member } = action
            && let Some(id) = Id::from_number(member.0)
            && wanted.is_some_and(|wanted| id.seat() < usize::from(wanted))
            && healthy(view, id)
        {
            return Some(format!("{id} is removed: it answers, and its seat is wanted"));
        }
    }
    None
}

/// Invariant 4: healthy is what answers, and votes or could.
fn healthy(view: &View, id: Id) -> bool {
    let other = view.others[id.seat()].and_then(|other| other.etcd);
    let status = if id.seat() == view.seat { view.local } else { other };
    status.is_some_and(|s| s.id == id && s.leader.is_some() && (!s.learner || s.caught_up))
}

/// Invariant 7: data that may start does start, whoever does not answer.
fn stands_still(view: &View, pools: &Pools, decision: &Decision) -> Option<String> {
    let id = view.wal?;
    let removed = view
        .list
        .is_some_and(|list| etcd::entry(pools.configs.get(list), id).is_none());
    if view.running || view.hook_waits || removed || view.tombstone == Some(id) {
        return None;
    }
    let starts = decision.actions.contains(&Action::Start(StartPlan::Resume));
    let makes_way = view.corrupt && decision.actions.contains(&Action::Archive(ArchiveReason::Corrupt));
    (!starts && !makes_way).then(|| format!("data plane: {id} has its data, and is not started"))
}
