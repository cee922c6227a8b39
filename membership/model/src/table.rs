//! The long searches, one line of a table for each.

use std::time::Instant;

use muster_membership_model::etcd::HealthRule;
use muster_membership_model::model::Model;
use muster_membership_model::moves::Settings;
use muster_membership_model::search::{Bounds, search};
use muster_membership_model::{From, explain, starts, walk};

const PLAIN: Settings = Settings {
    seats: 2,
    health: HealthRule::Quorum,
    operator: true,
    stale_reads: false,
    bug: None,
};

/// The search that a line of the table tells of.
enum Search {
    /// Every state within the bounds.
    Exhaustive {
        from: From,
        faults: u8,
        scalings: u8,
        fair_run_every: usize,
    },
    /// Moves at random.
    Walk { steps: usize, seed: u64 },
}

struct Line {
    settings: Settings,
    search: Search,
}

impl Line {
    fn exhaustive(settings: Settings, from: From, faults: u8, scalings: u8, fair_run_every: usize) -> Self {
        let search = Search::Exhaustive {
            from,
            faults,
            scalings,
            fair_run_every,
        };
        Self { settings, search }
    }

    fn walk(settings: Settings, steps: usize, seed: u64) -> Self {
        let search = Search::Walk { steps, seed };
        Self { settings, search }
    }

    fn name(&self) -> String {
        let Settings {
            seats,
            health,
            operator,
            stale_reads,
            ..
        } = self.settings;
        let mut name = match self.search {
            Search::Exhaustive {
                from, faults, scalings, ..
            } => {
                let from = match from {
                    From::Unborn => ", unborn",
                    From::Rest => ", from rest",
                    From::All => "",
                };
                format!("seats {seats}, faults {faults}, scalings {scalings}{from}")
            }
            Search::Walk { seed, .. } => format!("seats {seats}, at random, seed {seed}"),
        };
        if health == HealthRule::Every {
            name += ", old health rule";
        }
        if !operator {
            name += ", no operator";
        }
        if stale_reads {
            name += ", stale reads";
        }
        name
    }
}

fn lines() -> Vec<Line> {
    let seats = |seats| Settings { seats, ..PLAIN };
    let old = |settings| Settings {
        health: HealthRule::Every,
        ..settings
    };
    let alone = |settings| Settings {
        operator: false,
        ..settings
    };
    let stale = |settings| Settings {
        stale_reads: true,
        ..settings
    };
    let mut lines = vec![
        Line::exhaustive(seats(1), From::All, 4, 3, 1),
        Line::exhaustive(seats(2), From::All, 2, 1, 10),
        Line::exhaustive(alone(seats(2)), From::All, 2, 1, 10),
        Line::exhaustive(stale(seats(2)), From::All, 1, 1, 1),
        Line::exhaustive(stale(seats(2)), From::All, 2, 1, 100),
        Line::exhaustive(seats(3), From::All, 0, 1, 10),
        Line::exhaustive(seats(3), From::All, 1, 0, 10),
        Line::exhaustive(old(seats(3)), From::All, 1, 0, 10),
        Line::exhaustive(alone(seats(3)), From::All, 1, 0, 10),
        Line::exhaustive(seats(3), From::Rest, 2, 0, 10),
        Line::exhaustive(alone(seats(3)), From::Rest, 2, 0, 10),
        Line::exhaustive(seats(3), From::Rest, 1, 1, 10),
        Line::exhaustive(old(seats(3)), From::Rest, 1, 1, 10),
    ];
    for seed in 1..=3 {
        lines.push(Line::walk(stale(seats(5)), 2_000_000, seed));
    }
    lines.push(Line::walk(old(stale(seats(5))), 2_000_000, 4));
    lines.push(Line::walk(alone(seats(5)), 2_000_000, 5));
    lines.push(Line::walk(stale(seats(3)), 2_000_000, 6));
    lines
}

/// Searches everything, and prints a line as each is done. True if something is wrong.
pub(crate) fn print() -> bool {
    println!("| what is searched | states | moves | fair runs | of these excused | time | result |");
    println!("|---|--:|--:|--:|--:|--:|---|");
    let began = Instant::now();
    let mut wrong = false;
    for line in lines() {
        wrong |= search_line(&line);
    }
    println!("\n{:.0} s in all", began.elapsed().as_secs_f64());
    wrong
}

fn search_line(line: &Line) -> bool {
    let began = Instant::now();
    let mut model = Model::new(line.settings);
    let (states, moves, runs, excused, result, trace);
    match line.search {
        Search::Exhaustive {
            from,
            faults,
            scalings,
            fair_run_every,
        } => {
            let starts = starts(&mut model, from, faults, scalings);
            let bounds = Bounds {
                states: 200_000_000,
                fair_run_every,
            };
            let found = search(&mut model, &starts, bounds);
            states = found.states.to_string();
            (moves, runs) = (found.moves, found.fair_runs);
            excused = found.excused.values().sum::<usize>();
            result = if found.complete { "complete" } else { "cut off" };
            trace = found.trace;
        }
        Search::Walk { steps, seed } => {
            let walked = walk::walk(&mut model, steps, seed);
            states = "-".to_owned();
            (moves, runs, excused) = (walked.moves, walked.converged + walked.excused, walked.excused);
            result = "done";
            trace = walked.trace;
        }
    }
    println!(
        "| {} | {states} | {moves} | {runs} | {excused} | {:.0} s | {} |",
        line.name(),
        began.elapsed().as_secs_f64(),
        if trace.is_some() { "BROKEN" } else { result },
    );
    if let Some(trace) = &trace {
        println!("\n{}", explain::trace(&mut model, trace));
    }
    trace.is_some() || result == "cut off"
}
