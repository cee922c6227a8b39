//! The exhaustive search, breadth first, so that a counterexample is as short as can be.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use crate::liveness::{self, Ending};
use crate::model::Model;
use crate::moves::{Move, Trace};
use crate::state::{State, fingerprint};

/// The result of a search.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The number of different states.
    pub states: usize,
    /// The number of moves between them.
    pub moves: usize,
    /// The length of the longest of the shortest ways to a state.
    pub depth: usize,
    /// True if every state within the bounds was reached.
    pub complete: bool,
    /// The number of states from which a fair run was tried.
    pub fair_runs: usize,
    /// The number of these that ended without what the StatefulSet wants, by reason.
    pub excused: BTreeMap<&'static str, usize>,
    /// The way into the first bad state, if there is one.
    pub trace: Option<Trace>,
}

/// The bounds of a search.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most states.
    pub states: usize,
    /// The number of states of which one is tried with a fair run (0: none is).
    pub fair_run_every: usize,
}

/// A hasher that takes fingerprints as they are: they are as good as random already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are kept")
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

/// Every state that was reached, and the one before it on the shortest way; a start is before itself.
type Reached = HashMap<u64, u64, BuildHasherDefault<AsIs>>;

/// Searches everything that can be reached from `starts`.
pub fn search(model: &mut Model, starts: &[State], bounds: Bounds) -> Found {
    let mut found = Found::default();
    let mut reached = Reached::default();
    let mut queue = VecDeque::new();
    let mut fair_runs = liveness::FairRuns::default();
    for start in starts {
        let key = fingerprint(start);
        if reached.insert(key, key).is_none() {
            queue.push_back((*start, 0));
        }
    }
    while let Some((s, depth)) = queue.pop_front() {
        found.depth = found.depth.max(depth);
        let key = fingerprint(&s);
        if bounds.fair_run_every > 0 && key.is_multiple_of(bounds.fair_run_every as u64) {
            found.fair_runs += 1;
            match fair_runs.ending(model, s) {
                Ending::Converged => {}
                Ending::Excused(why) => *found.excused.entry(why).or_default() += 1,
                Ending::Stuck(why) => {
                    found.trace = Some(trace(model, &reached, starts, key, None, why));
                    break;
                }
            }
        }
        for m in model.moves(&s) {
            let Some(next) = model.apply(&s, m) else { continue };
            found.moves += 1;
            if let Some(why) = next.broken {
                found.trace = Some(trace(model, &reached, starts, key, Some(m), why));
                found.states = reached.len();
                return found;
            }
            let to = fingerprint(&next.state);
            if reached.len() < bounds.states
                && let Entry::Vacant(vacant) = reached.entry(to)
            {
                vacant.insert(key);
                queue.push_back((next.state, depth + 1));
            }
        }
    }
    found.states = reached.len();
    found.complete = found.trace.is_none() && reached.len() < bounds.states;
    found
}

/// The way to `end`, made again move by move, since the moves are not kept.
fn trace(
    model: &mut Model,
    reached: &Reached,
    starts: &[State],
    end: u64,
    last: Option<Move>,
    broken: String,
) -> Trace {
    let mut way = vec![end];
    let mut key = end;
    while let Some(before) = reached.get(&key).filter(|before| **before != key) {
        way.push(*before);
        key = *before;
    }
    let first = starts.iter().find(|s| fingerprint(s) == key);
    let start = first.copied().unwrap_or_default();
    let mut s = start;
    let mut moves = vec![];
    for key in way.iter().rev().skip(1) {
        let found = model.moves(&s).into_iter().find_map(|m| {
            let next = model.apply(&s, m)?;
            (next.broken.is_none() && fingerprint(&next.state) == *key).then_some((m, next.state))
        });
        let Some((m, next)) = found else { break };
        moves.push(m);
        s = next;
    }
    moves.extend(last);
    Trace { start, moves, broken }
}
