//! The steps of a plan, as the agent's shell carries them out, and what may happen to each on the way.

use muster_membership::{Action, ArchiveReason, StartPlan};

use crate::bugs::Bug;
use crate::etcd::{self, Answer};
use crate::intern::{Plan, Pools};
use crate::moves::{Outcome, Settings};
use crate::state::{Change, Id, Pending, Pod, Record, Seat, State};
use crate::view::token;

/// Takes the next step of seat `i`'s plan. `None`: it cannot end like that. An error: an invariant is broken.
pub fn step(
    s: &mut State,
    pools: &mut Pools,
    settings: &Settings,
    i: usize,
    outcome: Outcome,
) -> Option<Result<(), String>> {
    let plan = pools.plans.get(s.seats[i].plan).clone();
    let action = plan.actions.get(usize::from(s.seats[i].step))?;
    let change = match action {
        Action::AddLearner => {
            let used = s.mentioned(pools);
            Some(Change::Add(Id::of(i).find(|id| used & id.bit() == 0)?))
        }
        Action::Promote { member } => Some(Change::Promote(Id::from_number(member.0)?)),
        Action::Remove { member } => Some(Change::Remove(Id::from_number(member.0)?)),
        _ => None,
    };
    let result = match change {
        Some(change) => request(s, pools, settings, i, &plan, change, outcome)?,
        None => alone(s, pools, i, &plan, action, outcome)?,
    };
    // A step that did not surely succeed ends the plan.
    let seat = &mut s.seats[i];
    if seat.plan != 0 {
        seat.step += 1;
        if outcome != Outcome::Done || usize::from(seat.step) >= plan.actions.len() {
            seat.plan = 0;
            seat.step = 0;
        }
    }
    Some(result)
}

/// Takes the steps of seat `i`'s plan that concern only its own volume and pod, up to the next that does not.
pub fn local_steps(s: &mut State, pools: &mut Pools, settings: &Settings, i: usize) -> Result<(), String> {
    loop {
        let plan = pools.plans.get(s.seats[i].plan);
        let local = plan.actions.get(usize::from(s.seats[i].step)).is_some_and(|action| {
            matches!(
                action,
                Action::NoteWal
                    | Action::Tombstone
                    | Action::Archive(_)
                    | Action::ReleaseHook { .. }
                    | Action::Start(StartPlan::Resume)
            )
        });
        if !local {
            return Ok(());
        }
        step(s, pools, settings, i, Outcome::Done).unwrap_or(Ok(()))?;
    }
}

/// A request for a change of membership.
fn request(
    s: &mut State,
    pools: &mut Pools,
    settings: &Settings,
    i: usize,
    plan: &Plan,
    change: Change,
    outcome: Outcome,
) -> Option<Result<(), String>> {
    let anybody = settings.bug == Some(Bug::AsksAnybodyToRemove);
    let receivers = etcd::receivers(s, pools, i, change, anybody);
    let mut answers = receivers
        .iter()
        .map(|id| etcd::answer(s, pools, settings.health, *id, change));
    let commits = etcd::working_leader(s, pools).is_some() && s.pending.is_none();
    let pending = Pending {
        change,
        grounds: plan.grounds,
    };
    match outcome {
        Outcome::Refused => {
            let refused =
                receivers.is_empty() || s.pending.is_some() || answers.any(|answer| answer == Answer::Refused);
            refused.then_some(Ok(()))
        }
        Outcome::Done if answers.clone().any(|answer| answer == Answer::Already) => Some(Ok(())),
        _ if !answers.any(|answer| answer == Answer::Accepted) => None,
        Outcome::Done | Outcome::ReplyLost => {
            if !commits {
                return None;
            }
            if outcome == Outcome::ReplyLost {
                s.faults = s.faults.checked_sub(1)?;
            }
            let before = s.config;
            let result = etcd::commit(s, pools, pending);
            if let Change::Add(id) = change
                && outcome == Outcome::Done
                && s.config != before
            {
                s.born &= !id.bit();
                s.seats[i].join = Some(id);
            }
            Some(result)
        }
        Outcome::Late => {
            s.pending.is_none().then_some(())?;
            if commits {
                s.faults = s.faults.checked_sub(1)?;
            }
            if let Change::Add(id) = change {
                s.born &= !id.bit();
            }
            s.pending = Some(pending);
            Some(Ok(()))
        }
    }
}

/// A step that needs no agreement among etcd's members.
fn alone(
    s: &mut State,
    pools: &mut Pools,
    i: usize,
    plan: &Plan,
    action: &Action,
    outcome: Outcome,
) -> Option<Result<(), String>> {
    let unchanged = s.api_answers(i) && plan.record == (s.record, s.record_rev);
    let done = match action {
        Action::ClaimBirth { .. } | Action::MarkFormed | Action::RepublishBirth { .. } => unchanged,
        Action::MoveLeader { to } => may_hand_over(s, pools, i, Id::from_number(to.0)?),
        _ => true,
    };
    match outcome {
        Outcome::Done if done => {}
        Outcome::Refused if !done => return Some(Ok(())),
        _ => return None,
    }
    Some(match action {
        Action::ClaimBirth { .. } => {
            s.claims += 1;
            s.record = Record::Claimed(s.claims);
            s.seats[i].claim = s.claims;
            Ok(())
        }
        Action::MarkFormed => {
            s.record = Record::Formed {
                claim: s.cluster,
                founder_known: true,
            };
            Ok(())
        }
        Action::RepublishBirth { .. } => {
            s.record = Record::Formed {
                claim: s.cluster,
                founder_known: false,
            };
            s.record_rev += 1;
            Ok(())
        }
        Action::MoveLeader { to } => {
            s.leader = Id::from_number(to.0);
            s.pending = None;
            Ok(())
        }
        Action::NoteWal => {
            s.seats[i].wal_seen |= s.seats[i].wal.is_some();
            Ok(())
        }
        Action::Tombstone => tombstone(s, pools, i),
        Action::ReleaseHook { left } => release(s, pools, i, *left),
        Action::Archive(reason) => archive(s, pools, i, *reason),
        Action::Start(_) if s.seats[i].running => Ok(()),
        Action::Start(StartPlan::New { token }) => start_new(s, pools, i, token),
        Action::Start(StartPlan::Existing { .. }) => start_existing(s, pools, i, plan.list),
        Action::Start(StartPlan::Resume) => {
            s.seats[i].running = s.seats[i].wal.is_some() && !s.seats[i].corrupt;
            Ok(())
        }
        // Requests to etcd are carried out elsewhere; archives and publication are not modelled.
        Action::AddLearner
        | Action::Promote { .. }
        | Action::Remove { .. }
        | Action::PruneArchives
        | Action::PublishMembers => Ok(()),
    })
}

fn may_hand_over(s: &State, pools: &Pools, i: usize, to: Id) -> bool {
    let working = etcd::working_leader(s, pools);
    let asked = working.filter(|leader| s.linked(i, leader.seat()));
    asked.is_some_and(|leader| s.linked(leader.seat(), to.seat())) && etcd::may_lead(s, pools, to)
}

/// Invariant 1, and the founder's part of 2.
fn start_new(s: &mut State, pools: &mut Pools, i: usize, with: &str) -> Result<(), String> {
    let claim = s.seats[i].claim;
    if s.seats[i].wal.is_some() {
        return Err("etcd is told to start anew over data".into());
    }
    // The very volume that claimed may start once more as long as it has not noted a WAL: nobody has joined then.
    let alone = pools.configs.get(s.config).len() == 1;
    if s.cluster != 0 && !(s.cluster == claim && !s.seats[i].wal_seen && alone) {
        return Err(format!("one cluster: seat {i} founds one although there is one"));
    }
    if token(claim) != with {
        return Err(format!("one cluster: seat {i} founds without the claim of its volume"));
    }
    let id = Id::new(i, 0);
    s.cluster = claim;
    s.config = pools.configs.number(&vec![crate::state::Entry {
        id,
        learner: false,
        started: true,
    }]);
    s.leader = Some(id);
    s.born = id.bit();
    s.seats[i].wal = Some(id);
    s.seats[i].view = s.config;
    s.seats[i].running = true;
    Ok(())
}

/// Invariant 2, and etcd's own comparison of the member lists.
fn start_existing(s: &mut State, pools: &mut Pools, i: usize, list: u8) -> Result<(), String> {
    if s.seats[i].wal.is_some() {
        return Err("etcd is told to join over data".into());
    }
    let asked = s
        .seats
        .iter()
        .enumerate()
        .find(|(j, seat)| *j != i && seat.running && list & (1 << j) != 0 && s.linked(i, *j));
    let view = asked.map(|(_, seat)| seat.view);
    let same = view.filter(|view| etcd::seats(pools.configs.get(*view)) == list);
    let mine = |view: u32| pools.configs.get(view).iter().find(|e| e.id.seat() == i).map(|e| e.id);
    let Some((view, id)) = same.and_then(|view| Some((view, mine(view)?))) else {
        s.seats[i].leftovers = true;
        return Ok(());
    };
    // A learner that has published nothing was never counted on: its acknowledgements make no quorum.
    let counted = etcd::entry(pools.configs.get(view), id).is_some_and(|e| e.started || !e.learner);
    if s.born & id.bit() != 0 && counted {
        return Err(format!(
            "amnesia: {id} starts with an empty volume, and had data before"
        ));
    }
    if s.seats[i].join != Some(id) {
        return Err(format!("{id} starts on a volume that has no note of it"));
    }
    s.born |= id.bit();
    s.seats[i].wal = Some(id);
    s.seats[i].leftovers = false;
    s.seats[i].view = view;
    s.seats[i].running = true;
    Ok(())
}

fn listed(s: &State, pools: &Pools, id: Option<Id>) -> bool {
    id.is_some_and(|id| etcd::entry(pools.configs.get(s.config), id).is_some())
}

fn tombstone(s: &mut State, pools: &Pools, i: usize) -> Result<(), String> {
    let id = s.seats[i].wal;
    s.seats[i].tombstone = id;
    if listed(s, pools, id) {
        return Err(format!("seat {i} notes that it was removed, and is a member"));
    }
    Ok(())
}

fn release(s: &mut State, pools: &Pools, i: usize, left: bool) -> Result<(), String> {
    let wal = s.seats[i].wal;
    match s.seats[i].pod {
        Pod::Ending => s.seats[i] = s.seats[i].without_pod(),
        Pod::Restarting => {
            s.seats[i].pod = Pod::Up;
            s.seats[i].running = false;
        }
        _ => {}
    }
    if left && listed(s, pools, wal) {
        return Err(format!("seat {i} says that it has left, and is a member"));
    }
    Ok(())
}

/// Invariant 8: data makes way only for a reason.
fn archive(s: &mut State, pools: &Pools, i: usize, reason: ArchiveReason) -> Result<(), String> {
    let seat = s.seats[i];
    let reasonable = !seat.running
        && match reason {
            ArchiveReason::Removed => !listed(s, pools, seat.wal),
            ArchiveReason::Corrupt => (seat.corrupt || seat.wal.is_none()) && !seat.corrupt_before,
            ArchiveReason::LostWal => seat.wal.is_none(),
            ArchiveReason::Leftovers => seat.wal.is_none() && seat.leftovers,
        };
    s.seats[i] = Seat {
        corrupt_before: seat.corrupt_before || reason == ArchiveReason::Corrupt,
        ..seat.with_new_volume()
    };
    if reasonable {
        Ok(())
    } else {
        Err(format!("seat {i} sets data aside that is needed ({reason})"))
    }
}
