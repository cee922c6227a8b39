//! The exhaustive search, breadth first, so that a counterexample is as short as can be.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::moves::{Model, Move};
use crate::settle::{self, Settled};
use crate::state::State;

/// A state's fingerprint.
#[must_use]
pub fn fingerprint(s: &State) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(s)
}

/// A way into a bad state.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Where it begins.
    pub start: State,
    /// What happens.
    pub moves: Vec<Move>,
    /// What is wrong then.
    pub broken: String,
}

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Different states.
    pub states: usize,
    /// Moves between them.
    pub moves: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// Every state within the bounds was reached.
    pub complete: bool,
    /// States from which a fair run was tried.
    pub settled: usize,
    /// Of these, those that ended without what the StatefulSet wants, by reason.
    pub excused: BTreeMap<&'static str, usize>,
    /// The first bad state.
    pub trace: Option<Trace>,
}

/// How far to search.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// At most this many states.
    pub states: usize,
    /// Try a fair run from one of so many states (0: from none).
    pub settle_every: usize,
}

struct Step {
    from: u64,
    by: Option<Move>,
}

/// Searches everything that can be reached from `starts`.
pub fn search(model: &mut Model, starts: &[State], bounds: Bounds) -> Found {
    let mut found = Found::default();
    let mut steps: HashMap<u64, Step, BuildHasherDefault<DefaultHasher>> = HashMap::default();
    let mut queue = VecDeque::new();
    let mut settler = settle::Settler::default();
    for start in starts {
        let key = fingerprint(start);
        if steps.insert(key, Step { from: key, by: None }).is_none() {
            queue.push_back((*start, 0));
        }
    }
    while let Some((s, depth)) = queue.pop_front() {
        found.depth = found.depth.max(depth);
        let key = fingerprint(&s);
        if bounds.settle_every > 0 && key.is_multiple_of(bounds.settle_every as u64) {
            found.settled += 1;
            match settler.settle(model, s) {
                Settled::Converged => {}
                Settled::Excused(why) => *found.excused.entry(why).or_default() += 1,
                Settled::Stuck(why) => {
                    found.trace = Some(trace(&steps, starts, key, None, why));
                    break;
                }
            }
        }
        for m in model.moves(&s) {
            let Some(next) = model.apply(&s, m) else { continue };
            found.moves += 1;
            if let Some(why) = next.broken {
                found.trace = Some(trace(&steps, starts, key, Some(m), why));
                found.states = steps.len();
                return found;
            }
            let to = fingerprint(&next.state);
            if steps.len() < bounds.states && !steps.contains_key(&to) {
                steps.insert(to, Step { from: key, by: Some(m) });
                queue.push_back((next.state, depth + 1));
            }
        }
    }
    found.states = steps.len();
    found.complete = found.trace.is_none() && steps.len() < bounds.states;
    found
}

fn trace(
    steps: &HashMap<u64, Step, BuildHasherDefault<DefaultHasher>>,
    starts: &[State],
    end: u64,
    last: Option<Move>,
    broken: String,
) -> Trace {
    let mut moves: Vec<Move> = last.into_iter().collect();
    let mut key = end;
    while let Some(Step { from, by: Some(by) }) = steps.get(&key) {
        moves.push(*by);
        key = *from;
    }
    moves.reverse();
    let start = starts
        .iter()
        .find(|s| fingerprint(s) == key)
        .copied()
        .unwrap_or_default();
    Trace { start, moves, broken }
}
