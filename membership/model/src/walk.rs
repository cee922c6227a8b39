//! Long random walks, for clusters that are too large to search: some moves and faults, then a fair run, over
//! and over.

use crate::moves::{Model, Move, is_fault};
use crate::search::Trace;
use crate::settle::{Settled, Settler};
use crate::state::State;
use crate::steps::Outcome;

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

/// What the walks found.
#[derive(Debug, Clone, Default)]
pub struct Walked {
    /// Moves made.
    pub moves: usize,
    /// Faults among them.
    pub faults: usize,
    /// Fair runs that ended as wanted.
    pub converged: usize,
    /// Of these, those in which the replicas had to be raised first, so that a quorum was there to shrink.
    pub rescued: usize,
    /// Fair runs that ended otherwise, for a reason.
    pub excused: usize,
    /// The first bad state.
    pub trace: Option<Trace>,
}

/// Walks `steps` moves from the states at rest, with faults and scalings on the way.
pub fn walk(model: &mut Model, steps: usize, seed: u64) -> Walked {
    let mut random = Random::new(seed);
    let mut settler = Settler::default();
    let mut walked = Walked::default();
    let mut s = begin(model, &mut random);
    while walked.moves < steps {
        s.faults = u8::try_from(random.below(4)).unwrap_or(0);
        s.scalings = u8::try_from(random.below(4)).unwrap_or(0);
        let (start, mut moves) = (s, vec![]);
        let length = 30 + random.below(150);
        // Most moves are not possible at most times; where none is, the walk goes on elsewhere.
        for _ in 0..length * 60 {
            if moves.len() >= length {
                break;
            }
            let possible = model.moves(&s);
            let m = possible[random.below(possible.len())];
            // Faults and long waits come up rarely, so that something gets done between them.
            let rare = is_fault(m) || matches!(m, Move::Wait | Move::Read(_) | Move::Step(_, Outcome::ReplyLost | Outcome::Late));
            if rare && random.below(6) > 0 {
                continue;
            }
            let Some(next) = model.apply(&s, m) else { continue };
            moves.push(m);
            walked.moves += 1;
            walked.faults += usize::from(next.state.faults < s.faults);
            if let Some(broken) = next.broken {
                walked.trace = Some(Trace { start, moves, broken });
                return walked;
            }
            s = next.state;
            // Whoever deletes everything ends the walk.
            if s.deleting && moves.len() > length / 2 {
                break;
            }
        }
        let (settled, end) = settler.settle_to(model, s);
        walked.rescued = settler.rescues;
        s = match settled {
            Settled::Converged => {
                walked.converged += 1;
                end
            }
            Settled::Excused(_) => {
                walked.excused += 1;
                begin(model, &mut random)
            }
            Settled::Stuck(broken) => {
                walked.trace = Some(Trace { start, moves, broken });
                return walked;
            }
        };
    }
    walked
}

fn begin(model: &mut Model, random: &mut Random) -> State {
    let replicas = u8::try_from(1 + random.below(model.settings.seats)).unwrap_or(1);
    match random.below(3) {
        0 => model.unborn(replicas, random.below(2) == 0),
        _ => model.at_rest(replicas),
    }
}
