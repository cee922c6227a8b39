//! Long random walks, for clusters that are too large to search: some moves and faults, then a fair run, over
//! and over.

use crate::liveness::{Ending, FairRuns};
use crate::model::Model;
use crate::moves::{Move, Outcome, Trace, is_fault};
use crate::state::{Record, State};

/// A small generator of random numbers (SplitMix64), so that a seed always gives the same walk.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// The result of walks.
#[derive(Debug, Clone, Default)]
pub struct Walked {
    /// The number of moves.
    pub moves: usize,
    /// The number of faults among them.
    pub faults: usize,
    /// The number of fair runs that ended as wanted.
    pub converged: usize,
    /// The number of these in which the replicas had to be raised first, so that a quorum was there to shrink.
    pub rescued: usize,
    /// The number of fair runs that ended otherwise, for a reason.
    pub excused: usize,
    /// The way into the first bad state, if there is one.
    pub trace: Option<Trace>,
}

/// Walks `steps` moves from the states at rest, with faults and scalings on the way.
pub fn walk(model: &mut Model, steps: usize, seed: u64) -> Walked {
    let mut walker = Walker::new(seed);
    let mut s = walker.begin(model);
    while walker.walked.moves < steps && walker.walked.trace.is_none() {
        s.faults = u8::try_from(walker.random.below(4)).unwrap_or(0);
        s.scalings = u8::try_from(walker.random.below(4)).unwrap_or(0);
        let length = 30 + walker.random.below(150);
        s = match walker.stretch(model, s, length) {
            Some(end) => end,
            None => walker.begin(model),
        };
    }
    walker.walked
}

/// Walks many times from the same state, `length` moves each.
pub fn walk_from(model: &mut Model, start: State, times: usize, length: usize, seed: u64) -> Walked {
    let mut walker = Walker::new(seed);
    for _ in 0..times {
        walker.stretch(model, start, length);
        if walker.walked.trace.is_some() {
            break;
        }
    }
    walker.walked
}

struct Walker {
    random: Random,
    fair_runs: FairRuns,
    walked: Walked,
}

impl Walker {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            fair_runs: FairRuns::default(),
            walked: Walked::default(),
        }
    }

    fn begin(&mut self, model: &mut Model) -> State {
        let replicas = u8::try_from(1 + self.random.below(model.settings.seats)).unwrap_or(1);
        match self.random.below(3) {
            0 => model.unborn(replicas, self.random.below(2) == 0),
            _ => model.at_rest(replicas),
        }
    }

    /// Makes at most `length` moves, and a fair run; returns the state where that ended, if it ended well.
    fn stretch(&mut self, model: &mut Model, start: State, length: usize) -> Option<State> {
        let (mut s, mut moves) = (start, vec![]);
        // Most moves are not possible at most times; where none is, the walk goes on elsewhere.
        for _ in 0..length * 60 {
            // Whoever deletes everything ends the walk.
            if moves.len() >= length || s.deleting && moves.len() > length / 2 {
                break;
            }
            let Some(m) = self.pick(&model.moves(&s)) else { continue };
            let Some(next) = model.apply(&s, m) else { continue };
            moves.push(m);
            self.walked.moves += 1;
            self.walked.faults += usize::from(next.state.faults < s.faults);
            s = next.state;
            if let Some(broken) = next.broken {
                self.walked.trace = Some(Trace { start, moves, broken });
                return None;
            }
        }
        let (ending, end) = self.fair_runs.run(model, s);
        self.walked.rescued = self.fair_runs.rescues;
        match ending {
            Ending::Converged => {
                self.walked.converged += 1;
                let formed = matches!(end.record, Record::Formed { .. });
                return Some(end).filter(|_| formed);
            }
            Ending::Excused(_) => self.walked.excused += 1,
            Ending::Stuck(broken) => self.walked.trace = Some(Trace { start, moves, broken }),
        }
        None
    }

    /// Any move; faults and long waits come up rarely, so that something gets done between them.
    fn pick(&mut self, possible: &[Move]) -> Option<Move> {
        let m = *possible.get(self.random.below(possible.len()))?;
        let rare = is_fault(m)
            || matches!(
                m,
                Move::Wait | Move::Read(_) | Move::Step(_, Outcome::ReplyLost | Outcome::Late)
            );
        (!rare || self.random.below(6) == 0).then_some(m)
    }
}
