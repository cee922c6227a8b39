//! The model: the states where it starts, the moves that are possible in a state, and what each leads to.

use muster_membership::Action;

use crate::etcd;
use crate::intern::{Plan, Pools};
use crate::kubernetes;
use crate::look::{self, Looks};
use crate::moves::{Move, Outcome, Settings, is_fault};
use crate::state::{Grounds, Id, Pod, Record, Seat, State, link};
use crate::steps;
use crate::time;
use crate::view::View;

/// A state that a move led to.
#[derive(Debug, Clone)]
pub struct Next {
    /// The state.
    pub state: State,
    /// The invariant that the move broke.
    pub broken: Option<String>,
}

/// The model: what is fixed, and what was computed before.
#[derive(Debug)]
pub struct Model {
    /// The settings.
    pub settings: Settings,
    /// The memberships, memories and plans that states refer to.
    pub pools: Pools,
    /// The decisions that were made before.
    pub looks: Looks,
}

impl Model {
    /// A model with nothing explored.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            pools: Pools::default(),
            looks: Looks::default(),
        }
    }

    /// A cluster that does not exist yet.
    #[must_use]
    pub fn unborn(&self, replicas: u8, attested: bool) -> State {
        State {
            replicas,
            record: Record::Unclaimed { attested },
            ..State::default()
        }
    }

    /// A cluster at rest.
    pub fn at_rest(&mut self, replicas: u8) -> State {
        let mut s = self.unborn(replicas, true);
        s.cluster = 1;
        s.claims = 1;
        s.published = self.settings.operator;
        s.record = Record::Formed {
            claim: 1,
            founder_known: true,
        };
        let mut config = vec![];
        for i in 0..usize::from(replicas) {
            let id = Id::new(i, 0);
            s.born |= id.bit();
            s.seats[i] = Seat {
                pod: Pod::Up,
                running: true,
                wal: Some(id),
                join: (i > 0).then_some(id),
                wal_seen: true,
                claim: u8::from(i == 0),
                ..Seat::default()
            };
            config.push(etcd_voter(id));
        }
        s.config = self.pools.configs.number(&config);
        s.leader = Some(Id::new(0, 0));
        etcd::spread(&mut s, &mut self.pools);
        s
    }

    /// A cluster at rest, but for one seat that has caught up and was not promoted.
    pub fn with_learner(&mut self, replicas: u8, seat: usize) -> State {
        let mut s = self.at_rest(replicas);
        let mut config = self.pools.configs.get(s.config).clone();
        let learner = config.iter_mut().filter(|e| e.id.seat() == seat);
        learner.for_each(|e| e.learner = true);
        s.config = self.pools.configs.number(&config);
        s.caught_up = etcd::learners(&config);
        etcd::spread(&mut s, &mut self.pools);
        s
    }

    /// The moves that may be possible in `s`.
    #[must_use]
    pub fn moves(&self, s: &State) -> Vec<Move> {
        let n = self.settings.seats;
        let mut moves = vec![];
        for i in 0..n {
            self.moves_of(s, i, &mut moves);
        }
        moves.extend([Move::Wait, Move::StepDown, Move::Commit]);
        for i in 0..n {
            if let Some(id) = s.seats[i].wal.filter(|_| s.seats[i].running) {
                moves.extend([Move::CatchUp(id), Move::Elect(id, false)]);
                if s.pending.is_some() {
                    moves.push(Move::Elect(id, true));
                }
            }
        }
        if s.cut != 0 {
            moves.push(Move::Heal);
        }
        if s.api_cut != 0 {
            moves.push(Move::ApiUp);
        }
        moves.extend([Move::RecordMade, Move::Publish, Move::Shrunk]);
        if s.scalings > 0 && !s.deleting {
            let most = u8::try_from(n).unwrap_or(u8::MAX);
            moves.extend((0..=most).filter(|to| *to != s.replicas).map(Move::Scale));
            moves.extend((1..s.replicas).filter(|to| Some(*to) != s.shrink).map(Move::Shrink));
        }
        if s.faults > 0 {
            moves.extend([Move::ApiDown, Move::RecordDeleted, Move::WorkloadDeleted]);
            for i in 0..n {
                moves.extend([Move::Isolate(i), Move::ApiCut(i)]);
                moves.extend((0..i).map(|j| Move::Cut(j, i)));
            }
        }
        moves
    }

    fn moves_of(&self, s: &State, i: usize, moves: &mut Vec<Move>) {
        let seat = &s.seats[i];
        if seat.pod == Pod::Gone {
            moves.push(Move::PodMade(i));
        } else {
            if seat.plan == 0 {
                moves.push(Move::Look(i));
                if self.settings.stale_reads {
                    moves.push(Move::Read(i));
                }
            } else {
                moves.extend(Outcome::ALL.map(|outcome| Move::Step(i, outcome)));
            }
        }
        if s.faults == 0 {
            return;
        }
        if seat.pod != Pod::Gone {
            moves.extend([Move::AgentCrash(i), Move::PodDies(i)]);
            if seat.pod == Pod::Up {
                moves.push(Move::Evict(i));
            }
        }
        if seat.running {
            moves.push(Move::EtcdCrash(i));
            if seat.pod == Pod::Up {
                moves.push(Move::ProbeFails(i));
            }
        }
        if seat.wal.is_some() {
            moves.extend([Move::WalLost(i), Move::Corrupted(i)]);
        }
        if seat.wal.is_some() || seat.join.is_some() || seat.claim > 0 {
            moves.push(Move::VolumeLost(i));
        }
    }

    /// Applies `m`; `None` if it is not possible, or changes nothing.
    pub fn apply(&mut self, s: &State, m: Move) -> Option<Next> {
        let mut next = Next {
            state: *s,
            broken: None,
        };
        match m {
            Move::Look(i) | Move::Step(i, _) if s.seats[i].pod == Pod::Gone => return None,
            Move::Look(i) => next.broken = self.look(&mut next.state, i),
            Move::Step(i, outcome) => {
                let result = steps::step(&mut next.state, &mut self.pools, &self.settings, i, outcome)?;
                next.broken = result.err();
            }
            Move::Commit => {
                let pending = s.pending?;
                etcd::working_leader(s, &self.pools)?;
                next.state.pending = None;
                next.broken = etcd::commit(&mut next.state, &mut self.pools, pending).err();
            }
            Move::Wait => {
                for seat in &mut next.state.seats {
                    let memory = time::long_after(self.pools.memories.get(seat.memory));
                    seat.memory = self.pools.memories.number(&memory);
                    // What was decided so long ago is not begun any more.
                    seat.plan = 0;
                    seat.step = 0;
                    seat.read = None;
                }
            }
            _ => self.event(&mut next.state, m)?,
        }
        etcd::spread(&mut next.state, &mut self.pools);
        if let Move::Look(i) | Move::Step(i, _) = m
            && next.broken.is_none()
        {
            // What concerns nobody else follows at once: a crash in between is the same as a crash before.
            next.broken = steps::local_steps(&mut next.state, &mut self.pools, &self.settings, i).err();
            etcd::spread(&mut next.state, &mut self.pools);
        }
        debug_assert!(
            next.state
                .seats
                .iter()
                .all(|x| x.pod != Pod::Gone || !x.running && x.plan == 0),
            "{m:?}: {next:?}"
        );
        next.state.excuse_faults(s, &mut self.pools);
        next.state.canonical(&mut self.pools);
        (next.state != *s || next.broken.is_some()).then_some(next)
    }

    fn look(&mut self, s: &mut State, i: usize) -> Option<String> {
        let view = View::of(s, &self.pools, i);
        let looked = look::look(view, &mut self.looks, &mut self.pools, self.settings.bug);
        let read = s.seats[i].read.take().or(s.api(i));
        s.seats[i].memory = looked.memory;
        // Pruning touches archives only.
        let wanted = |action: &&Action| !matches!(action, Action::PruneArchives);
        let actions: Vec<_> = looked.actions.iter().filter(wanted).cloned().collect();
        if !actions.is_empty() {
            let rests = |kind: fn(&Action) -> bool| actions.iter().any(kind);
            let mut plan = Plan::default();
            if rests(|a| matches!(a, Action::Promote { .. } | Action::Remove { .. })) {
                plan.grounds = Grounds {
                    ran: s.running() & self.pools.configs.mentions(s.config),
                    cut: s.cut,
                    exempt: self.exempt(s, i) & removed(&actions),
                    wanted: read.map_or(0, |read| read.wanted),
                };
            }
            if rests(|a| matches!(a, Action::Start(muster_membership::StartPlan::Existing { .. }))) {
                plan.list = etcd::seats(self.pools.configs.get(s.config));
            }
            if rests(|a| {
                matches!(
                    a,
                    Action::ClaimBirth { .. } | Action::MarkFormed | Action::RepublishBirth { .. }
                )
            }) {
                plan.record = read.map(|read| (read.record, read.record_rev)).unwrap_or_default();
            }
            plan.actions = actions;
            s.seats[i].plan = self.pools.plans.number(&plan);
            s.seats[i].step = 0;
        }
        looked.broken
    }

    /// The members that seat `i` may remove without regard to what they are worth: those without a vote, and those
    /// that it cannot reach.
    fn exempt(&self, s: &State, i: usize) -> u64 {
        let config = self.pools.configs.get(s.config);
        let silent = config.iter().filter(|e| !s.runs(e.id) || !s.linked(i, e.id.seat()));
        silent.fold(etcd::learners(config), |set, e| set | e.id.bit())
    }

    /// The sentence with which the agent of seat `i` explains its decision.
    pub fn why(&mut self, s: &State, i: usize) -> String {
        let view = View::of(s, &self.pools, i);
        look::look(view, &mut self.looks, &mut self.pools, self.settings.bug).why
    }

    fn event(&mut self, s: &mut State, m: Move) -> Option<()> {
        if is_fault(m) {
            s.faults = s.faults.checked_sub(1)?;
        }
        match m {
            Move::Read(i) => {
                s.seats[i].read = Some(s.api(i)?);
            }
            Move::AgentCrash(i) => s.seats[i] = s.seats[i].with_new_agent(),
            Move::EtcdCrash(i) => s.seats[i].running = false,
            Move::ProbeFails(i) => s.seats[i].pod = Pod::Restarting,
            Move::Evict(i) => s.seats[i].pod = Pod::Ending,
            Move::PodDies(i) => s.seats[i] = s.seats[i].without_pod(),
            Move::VolumeLost(i) => s.seats[i] = s.seats[i].without_pod().with_new_volume(),
            Move::WalLost(i) => {
                s.seats[i].wal = None;
                s.seats[i].running = false;
                s.seats[i].corrupt = false;
                s.seats[i].view = 0;
            }
            Move::Corrupted(i) => {
                s.seats[i].corrupt = true;
                s.seats[i].running = false;
            }
            Move::Cut(a, b) => s.cut |= link(a, b),
            Move::Isolate(i) => (0..self.settings.seats)
                .filter(|j| *j != i)
                .for_each(|j| s.cut |= link(i, j)),
            Move::Heal => s.cut = 0,
            Move::ApiDown => s.api_cut = State::API_DOWN,
            Move::ApiCut(i) => s.api_cut |= 1 << i,
            Move::ApiUp => s.api_cut = 0,
            Move::Publish => kubernetes::publish(&self.settings, &self.pools, s)?,
            Move::RecordDeleted | Move::RecordMade => kubernetes::record(&self.settings, &self.pools, s, m)?,
            Move::WorkloadDeleted => {
                s.deleting = true;
                let up = s.seats.iter_mut().filter(|seat| seat.pod == Pod::Up);
                up.for_each(|seat| seat.pod = Pod::Ending);
            }
            Move::Scale(_) | Move::Shrink(_) | Move::Shrunk => kubernetes::scale(&self.pools, s, m)?,
            Move::PodMade(i) => {
                let free = s.seats[i].pod == Pod::Gone && !s.deleting && i < usize::from(s.replicas);
                free.then(|| s.seats[i].pod = Pod::Up)?;
            }
            Move::Elect(id, keeps) => {
                if s.leader == Some(id) || !etcd::may_lead(s, &self.pools, id) {
                    return None;
                }
                if etcd::working_leader(s, &self.pools).is_some() {
                    s.faults = s.faults.checked_sub(1)?;
                }
                s.leader = Some(id);
                s.pending = s.pending.filter(|_| keeps);
            }
            Move::StepDown => {
                s.leader?;
                etcd::working_leader(s, &self.pools)
                    .is_none()
                    .then(|| s.leader = None)?;
            }
            Move::CatchUp(id) => {
                let working = etcd::working_leader(s, &self.pools)?;
                let entry = etcd::entry(self.pools.configs.get(s.config), id)?;
                let catches = entry.learner && s.runs(id) && s.linked(id.seat(), working.seat());
                catches.then(|| s.caught_up |= id.bit())?;
            }
            Move::Look(_) | Move::Step(..) | Move::Commit | Move::Wait => return None,
        }
        Some(())
    }
}

/// The members that are to be removed.
fn removed(actions: &[Action]) -> u64 {
    let ids = actions.iter().filter_map(|action| match action {
        Action::Remove { member } => Id::from_number(member.0),
        _ => None,
    });
    ids.fold(0, |set, id| set | id.bit())
}

fn etcd_voter(id: Id) -> crate::state::Entry {
    crate::state::Entry {
        id,
        learner: false,
        started: true,
    }
}
