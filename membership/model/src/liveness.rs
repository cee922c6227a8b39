//! Liveness: when faults stop and replicas stand still, the cluster becomes what the StatefulSet wants.
//!
//! From a state, a fair run: everybody reaches everybody, everything that can happen by itself happens, every
//! agent gets its turn and every patience runs out, again and again, until nothing changes. Once with the lowest
//! seat first in every round, and once with the highest.

use std::collections::{HashMap, HashSet};

use crate::etcd;
use crate::explain;
use crate::model::Model;
use crate::moves::{Move, Outcome};
use crate::state::{Id, Pod, Record, Seat, State, fingerprint};

/// The ending of a fair run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The voters are the wanted seats, and there is nothing else.
    Converged,
    /// The cluster is something else, for a reason that the protocol leaves to a person.
    Excused(&'static str),
    /// The cluster is something else, and stays so.
    Stuck(String),
}

/// Fair runs, and the states on the way of those that ended well.
#[derive(Debug, Default)]
pub struct FairRuns {
    /// Fair runs in which the replicas had to be raised first.
    pub rescues: usize,
    known: [Known; 2],
}

#[derive(Debug, Default)]
struct Known {
    good: HashSet<u64>,
    excused: HashMap<u64, &'static str>,
}

/// The order of turns in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Up,
    Down,
}

impl Order {
    fn seats(self, n: usize) -> impl Iterator<Item = usize> {
        (0..n).map(move |i| if self == Self::Up { i } else { n - 1 - i })
    }
}

const ROUNDS: usize = 120;

impl FairRuns {
    /// Runs fairly from `s`, as [`FairRuns::run`]; the ending only.
    pub fn ending(&mut self, model: &mut Model, s: State) -> Ending {
        self.run(model, s).0
    }

    /// Runs fairly from `s`, twice: the lowest seat first in every round, and the highest. The state is the one in
    /// which the first of the two ended.
    pub fn run(&mut self, model: &mut Model, s: State) -> (Ending, State) {
        let (up, end) = self.run_in(model, s, Order::Up);
        if matches!(up, Ending::Stuck(_)) {
            return (up, end);
        }
        match self.run_in(model, s, Order::Down) {
            (Ending::Stuck(why), end) => (Ending::Stuck(why), end),
            _ => (up, end),
        }
    }

    fn run_in(&mut self, model: &mut Model, s: State, order: Order) -> (Ending, State) {
        let known = &mut self.known[order as usize];
        let mut s = State {
            faults: 0,
            scalings: 0,
            cut: 0,
            api_cut: 0,
            ..s
        };
        if s.deleting {
            return (Ending::Excused("the StatefulSet is being deleted"), s);
        }
        let mut way = vec![];
        let mut rescued = false;
        for _ in 0..ROUNDS {
            let key = fingerprint(&s);
            if known.good.contains(&key) {
                known.good.extend(way);
                return (Ending::Converged, s);
            }
            if let Some(why) = known.excused.get(&key) {
                return (Ending::Excused(why), s);
            }
            way.push(key);
            let before = s;
            if let Err(why) = round(model, &mut s, order) {
                return (Ending::Stuck(why), s);
            }
            if s != before {
                continue;
            }
            if converged(model, &s) {
                known.good.extend(way);
                return (Ending::Converged, s);
            }
            // What the operator does, or the sentence in the status tells a person to do: scale up to where the
            // members are, and then shrink properly.
            if !rescued && let Some(up) = rescue(model, &s) {
                rescued = true;
                self.rescues += 1;
                s.shrink = Some(s.wanted());
                s.replicas = up;
                continue;
            }
            return match excuse(model, &s) {
                Some(why) => {
                    known.excused.extend(way.into_iter().map(|key| (key, why)));
                    (Ending::Excused(why), s)
                }
                None => (Ending::Stuck(stuck(model, &s)), s),
            };
        }
        (
            Ending::Stuck(format!("it goes on without end; {}", stuck(model, &s))),
            s,
        )
    }
}

/// Everything happens that can, once.
fn round(model: &mut Model, s: &mut State, order: Order) -> Result<(), String> {
    let n = model.settings.seats;
    let turn = |model: &mut Model, s: &mut State, m: Move| match model.apply(s, m) {
        Some(next) => {
            *s = next.state;
            next.broken.map_or(Ok(true), Err)
        }
        None => Ok(false),
    };
    for m in [
        Move::RecordMade,
        Move::Publish,
        Move::Commit,
        Move::StepDown,
        Move::Shrunk,
    ] {
        turn(model, s, m)?;
    }
    for i in order.seats(n) {
        turn(model, s, Move::PodMade(i))?;
    }
    if etcd::working_leader(s, &model.pools).is_none() {
        for i in order.seats(n) {
            if let Some(id) = s.seats[i].wal
                && turn(model, s, Move::Elect(id, false))?
            {
                break;
            }
        }
    }
    for i in order.seats(n) {
        if let Some(id) = s.seats[i].wal {
            turn(model, s, Move::CatchUp(id))?;
        }
        for _ in 0..8 {
            if s.seats[i].plan == 0 {
                if !turn(model, s, Move::Look(i))? || s.seats[i].plan == 0 {
                    break;
                }
            } else if !turn(model, s, Move::Step(i, Outcome::Done))?
                && !turn(model, s, Move::Step(i, Outcome::Late))?
                && !turn(model, s, Move::Step(i, Outcome::Refused))?
            {
                break;
            }
        }
    }
    turn(model, s, Move::Wait)?;
    Ok(())
}

fn converged(model: &Model, s: &State) -> bool {
    let wanted = usize::from(s.wanted());
    if wanted == 0 {
        return true;
    }
    let config = model.pools.configs.get(s.config);
    let right = |seat: usize| config.iter().any(|e| e.id.seat() == seat && !e.learner && s.runs(e.id));
    config.len() == wanted && (0..wanted).all(right) && etcd::working_leader(s, &model.pools).is_some()
}

/// The members whose data is still on a volume.
fn with_data(s: &State, id: Id) -> bool {
    let seat = &s.seats[id.seat()];
    seat.wal == Some(id) && !seat.corrupt
}

/// The replicas at which the members that have data, but no pod, are a quorum again.
fn rescue(model: &Model, s: &State) -> Option<u8> {
    let config = model.pools.configs.get(s.config);
    if s.cluster == 0 || etcd::working_leader(s, &model.pools).is_some() || s.wanted() == 0 {
        return None;
    }
    let live = config
        .iter()
        .filter(|e| with_data(s, e.id))
        .fold(0, |set, e| set | e.id.bit());
    let highest = config
        .iter()
        .filter(|e| with_data(s, e.id))
        .map(|e| e.id.seat())
        .max()?;
    let up = u8::try_from(highest + 1).ok()?;
    (etcd::has_quorum(config, live, 0) && up > s.replicas).then_some(up)
}

fn excuse(model: &Model, s: &State) -> Option<&'static str> {
    let config = model.pools.configs.get(s.config);
    if s.cluster == 0 {
        return match s.record {
            Record::Unclaimed { .. } => None,
            // The operator does not make it again beside a StatefulSet; without one, somebody does.
            Record::Missing if !model.settings.operator => None,
            Record::Missing => {
                Some("the birth record was deleted before the cluster served, and a person has to make it")
            }
            _ => Some("the volume that claimed is gone, and a person has to give the cluster up"),
        };
    }
    let live = config
        .iter()
        .filter(|e| with_data(s, e.id))
        .fold(0, |set, e| set | e.id.bit());
    if !etcd::has_quorum(config, live, 0) {
        return Some("the volumes of a quorum are gone");
    }
    let stuck = |seat: &Seat| seat.pod == Pod::Up && seat.corrupt && seat.corrupt_before;
    s.seats
        .iter()
        .any(stuck)
        .then_some("data was corrupt twice on one volume")
}

fn stuck(model: &mut Model, s: &State) -> String {
    let end = explain::state(model, s);
    let mut text = format!("it does not become what is wanted; it ends with {end}");
    for i in 0..model.settings.seats {
        if s.seats[i].pod != Pod::Gone {
            let why = model.why(s, i);
            text.push_str(&format!("\n    seat {i}: {why}"));
        }
    }
    text
}
