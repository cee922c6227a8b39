//! etcd, as far as membership goes: who leads, what commits, what is refused, who ends.
//!
//! Raft itself is taken as correct. A change commits when the leader reaches a quorum of the membership
//! that it changes; members that the leader reaches apply it at once, all others when they reach it again.

use crate::intern::Pools;
use crate::state::{Change, Config, Entry, Grounds, Id, Pending, SEATS, State, linked};

/// The health check of etcd that an add has to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HealthRule {
    /// Every voter is connected (up to 3.5.29 and 3.6.10).
    Every,
    /// A quorum of the membership that results is connected; a single voter always passes.
    Quorum,
}

/// The answer to a request for a change of membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The request would be accepted.
    Accepted,
    /// The request is refused.
    Refused,
    /// Nothing is to be done: the member is gone already.
    Already,
}

fn voters(config: &Config) -> impl Iterator<Item = Id> {
    config.iter().filter(|e| !e.learner).map(|e| e.id)
}

/// The members that have no vote.
pub fn learners(config: &Config) -> u64 {
    config.iter().filter(|e| e.learner).fold(0, |set, e| set | e.id.bit())
}

/// The seats that have members.
pub fn seats(config: &Config) -> u8 {
    config.iter().fold(0, |set, e| set | 1 << e.id.seat())
}

/// The entry of a member.
pub fn entry(config: &Config, id: Id) -> Option<&Entry> {
    config.iter().find(|e| e.id == id)
}

/// True if some voter of `config` that is one of `live` reaches a quorum of them.
pub fn has_quorum(config: &Config, live: u64, cut: u16) -> bool {
    let alive = |id: &Id| live & id.bit() != 0;
    let needed = voters(config).count() / 2 + 1;
    voters(config).filter(alive).any(|leader| {
        let reached = voters(config)
            .filter(alive)
            .filter(|id| linked(cut, leader.seat(), id.seat()));
        reached.count() >= needed
    })
}

/// True if `leader` reaches a quorum.
fn reaches_quorum(s: &State, config: &Config, leader: Id) -> bool {
    let reached = voters(config).filter(|id| s.runs(*id) && s.linked(leader.seat(), id.seat()));
    reached.count() > voters(config).count() / 2
}

/// The leader, if what it proposes now is committed.
pub fn working_leader(s: &State, pools: &Pools) -> Option<Id> {
    let leader = s.leader?;
    reaches_quorum(s, pools.configs.get(s.config), leader).then_some(leader)
}

/// The leader that the etcd of `seat` knows.
pub fn known_leader(s: &State, working: Option<Id>, seat: usize) -> Option<Id> {
    let own = s.leader.filter(|leader| leader.seat() == seat);
    own.or(working.filter(|leader| s.linked(seat, leader.seat())))
}

/// True if a linearizable read by the agent of `from` succeeds at a member that also serves lists.
pub fn can_read(s: &State, pools: &Pools, working: Option<Id>, from: usize) -> bool {
    serves(s, pools, working, from).next().is_some()
}

/// The voters that the agent of `from` reaches, and that reach the leader.
fn serves<'a>(s: &'a State, pools: &'a Pools, working: Option<Id>, from: usize) -> impl Iterator<Item = Id> + 'a {
    (0..SEATS).filter_map(move |seat| {
        let id = s.seats[seat].wal.filter(|id| s.runs(*id) && s.linked(from, seat))?;
        let view = pools.configs.get(s.seats[seat].view);
        let votes = entry(view, id).is_some_and(|e| !e.learner);
        let leads = working.is_some_and(|leader| s.linked(seat, leader.seat()));
        (votes && leads).then_some(id)
    })
}

/// The members that the agent of `from` can send `change` to. It asks the leader for everything but an add,
/// unless it has the bug of asking anybody.
pub fn receivers(s: &State, pools: &Pools, from: usize, change: Change, anybody: bool) -> Vec<Id> {
    let reach = |id: &Id| s.runs(*id) && s.linked(from, id.seat());
    if matches!(change, Change::Promote(_)) || matches!(change, Change::Remove(_)) && !anybody {
        return s.leader.filter(reach).into_iter().collect();
    }
    let ids = s.seats.iter().filter_map(|seat| seat.wal);
    ids.filter(reach)
        .filter(|id| {
            let view = pools.configs.get(s.seats[id.seat()].view);
            let leads = s.leader.is_some_and(|leader| s.linked(id.seat(), leader.seat()));
            leads && entry(view, *id).is_some_and(|e| !e.learner)
        })
        .collect()
}

/// The answer of `receiver` to `change`, by its own view of the members.
pub fn answer(s: &State, pools: &Pools, rule: HealthRule, receiver: Id, change: Change) -> Answer {
    let view = pools.configs.get(s.seats[receiver.seat()].view);
    let connected = |id: Id| s.runs(id) && s.linked(receiver.seat(), id.seat());
    let count = voters(view).count();
    let active = voters(view).filter(|id| connected(*id)).count();
    let accepted = match change {
        Change::Add(id) => {
            let healthy = match rule {
                HealthRule::Every => active == count,
                HealthRule::Quorum => count == 1 || active > count.div_ceil(2),
            };
            healthy && view.iter().all(|e| !e.learner && e.id.seat() != id.seat())
        }
        Change::Promote(id) => {
            let started = view.iter().filter(|e| e.started && (!e.learner || e.id == id)).count();
            let learner = entry(view, id).is_some_and(|e| e.learner && e.started);
            learner && s.caught_up & id.bit() != 0 && started > count.div_ceil(2)
        }
        Change::Remove(id) => match entry(view, id) {
            None => return Answer::Already,
            Some(e) if e.learner => true,
            Some(_) => {
                let started = view.iter().filter(|e| !e.learner && e.started && e.id != id).count();
                let enough_started = count > 1 && started > (count - 1) / 2;
                // A member that is not connected may go at once.
                enough_started && (!connected(id) || active > 1 + (count - 1) / 2)
            }
        },
    };
    if accepted { Answer::Accepted } else { Answer::Refused }
}

/// The membership after `change`; `None` if it is refused when it is applied.
pub fn changed(config: &Config, change: Change) -> Option<Config> {
    let mut config = config.clone();
    match change {
        Change::Add(id) => {
            if config.iter().any(|e| e.learner || e.id.seat() == id.seat()) {
                return None;
            }
            config.push(Entry {
                id,
                learner: true,
                started: false,
            });
            config.sort();
        }
        Change::Promote(id) => config.iter_mut().find(|e| e.id == id && e.learner)?.learner = false,
        Change::Remove(id) => {
            entry(&config, id)?;
            config.retain(|e| e.id != id);
        }
    }
    Some(config)
}

/// Commits `pending`. An error says which invariant that breaks.
pub fn commit(s: &mut State, pools: &mut Pools, pending: Pending) -> Result<(), String> {
    let before = pools.configs.get(s.config).clone();
    let Some(after) = changed(&before, pending.change) else {
        return Ok(());
    };
    let Grounds {
        ran,
        cut,
        wanted,
        exempt,
    } = pending.grounds;
    // Who died or was cut off after the agent had looked is not the agent's fault.
    let live = s.running() | ran;
    let cut = s.cut & cut;
    let (target, votes) = match pending.change {
        Change::Add(id) => (id, false),
        Change::Promote(id) => (id, true),
        Change::Remove(id) => (id, entry(&before, id).is_some_and(|e| !e.learner)),
    };
    if votes && !has_quorum(&after, live, cut) {
        return Err(format!(
            "quorum: the voters that live are no quorum after the change of {target}"
        ));
    }
    let is_wanted = |v: &Id| v.seat() < usize::from(wanted);
    let died_since = Id::in_set(ran & !s.running()).any(|v| is_wanted(&v));
    if let Change::Remove(id) = pending.change
        && votes
        && s.runs(id)
        // An evicted learner may have been promoted at the last moment, and a silent member may answer again; that
        // costs it its place, and no more.
        && exempt & id.bit() == 0
        && !died_since
        && !voters(&after).any(|v| is_wanted(&v) && live & v.bit() != 0)
    {
        return Err(format!(
            "no live voter of a wanted seat remains after the removal of {id}"
        ));
    }
    s.config = pools.configs.number(&after);
    // Whoever the leader reaches has it, even if there is no quorum afterwards.
    if let Some(leader) = s.leader {
        for i in 0..SEATS {
            if s.seats[i].running && s.linked(i, leader.seat()) {
                s.seats[i].view = s.config;
            }
        }
    }
    if !matches!(pending.change, Change::Promote(_)) {
        s.caught_up &= !target.bit();
    }
    Ok(())
}

/// Lets happen what happens by itself and at once: members that reach the leader learn what it knows, and members that
/// learn of their own removal end.
pub fn spread(s: &mut State, pools: &mut Pools) {
    loop {
        let config = pools.configs.get(s.config).clone();
        if s.leader
            .is_some_and(|id| !s.runs(id) || entry(&config, id).is_none_or(|e| e.learner))
        {
            s.leader = None;
        }
        let working = working_leader(s, pools);
        let mut published = config.clone();
        for i in 0..SEATS {
            let Some(id) = s.seats[i].wal.filter(|_| s.seats[i].running) else {
                continue;
            };
            if working.is_some_and(|leader| s.linked(i, leader.seat())) {
                s.seats[i].view = s.config;
                for e in published.iter_mut().filter(|e| e.id == id) {
                    e.started = true;
                }
            }
            let told = |j: usize| {
                let other = &s.seats[j];
                let knows = entry(pools.configs.get(other.view), id).is_none();
                let counts = other.wal.is_some_and(|other| entry(&config, other).is_some());
                other.running && knows && counts && s.linked(i, j)
            };
            if entry(&config, id).is_none()
                && (entry(pools.configs.get(s.seats[i].view), id).is_none() || (0..SEATS).any(told))
            {
                s.seats[i].running = false;
            }
        }
        if published == config {
            if s.leader.is_none_or(|id| s.runs(id)) {
                return;
            }
            continue;
        }
        s.config = pools.configs.number(&published);
    }
}

/// True if `id` may become the leader: it has every committed change, and reaches a quorum.
pub fn may_lead(s: &State, pools: &Pools, id: Id) -> bool {
    let config = pools.configs.get(s.config);
    s.runs(id)
        && entry(config, id).is_some_and(|e| !e.learner)
        && s.seats[id.seat()].view == s.config
        && reaches_quorum(s, config, id)
}
