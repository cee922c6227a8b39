//! The model, as far as it fits into a test run. More, by choice: `muster-membership-model check --help`.

use std::time::Instant;

use clap::ValueEnum;
use muster_membership_model::bugs::Bug;
use muster_membership_model::etcd::HealthRule;
use muster_membership_model::model::Model;
use muster_membership_model::moves::{Move, Settings};
use muster_membership_model::search::{Bounds, search};
use muster_membership_model::{From, explain, hunt, starts, walk};

const SETTINGS: Settings = Settings {
    seats: 2,
    health: HealthRule::Quorum,
    operator: true,
    stale_reads: false,
    bug: None,
};

/// Searches everything with so many faults and scalings, and runs fairly from one of so many states.
fn check(settings: Settings, faults: u8, scalings: u8, fair_run_every: usize) {
    check_from(From::All, settings, faults, scalings, fair_run_every);
}

fn check_from(from: From, settings: Settings, faults: u8, scalings: u8, fair_run_every: usize) {
    let began = Instant::now();
    let mut model = Model::new(settings);
    let starts = starts(&mut model, from, faults, scalings);
    let bounds = Bounds {
        states: 12_000_000,
        fair_run_every,
    };
    let found = search(&mut model, &starts, bounds);
    println!(
        "{} states, {} moves, depth {}, {} fair runs, {:.1} s",
        found.states,
        found.moves,
        found.depth,
        found.fair_runs,
        began.elapsed().as_secs_f64(),
    );
    if let Some(trace) = &found.trace {
        panic!("{}", explain::trace(&mut model, trace));
    }
    assert!(found.complete, "the bounds are too narrow to be complete");
    assert!(found.fair_runs > 1_000, "hardly any fair run was tried");
}

#[test]
fn one_seat_with_three_faults_and_two_scalings() {
    check(Settings { seats: 1, ..SETTINGS }, 3, 2, 1);
}

#[test]
fn two_seats_with_two_faults_and_a_scaling() {
    check(SETTINGS, 2, 1, 16);
}

#[test]
fn two_seats_with_a_fault_and_a_scaling_while_api_reads_are_stale() {
    let settings = Settings {
        stale_reads: true,
        ..SETTINGS
    };
    check(settings, 1, 1, 8);
}

#[test]
fn two_seats_without_an_operator() {
    let settings = Settings {
        operator: false,
        ..SETTINGS
    };
    check(settings, 1, 1, 1);
}

#[test]
fn three_seats_with_a_scaling() {
    check(Settings { seats: 3, ..SETTINGS }, 0, 1, 16);
}

#[test]
fn three_seats_with_a_fault() {
    check(Settings { seats: 3, ..SETTINGS }, 1, 0, 32);
}

/// The old health rule and no operator, which both take three seats. The rule: with two there is nobody to add beside
/// two voters. No operator: a seat has lost its volume and needs the record, beside a quorum that does not.
#[test]
fn three_seats_at_rest_with_two_faults_the_old_health_rule_and_no_operator() {
    let settings = Settings {
        seats: 3,
        health: HealthRule::Every,
        operator: false,
        ..SETTINGS
    };
    check_from(From::Rest, settings, 2, 0, 32);
}

#[test]
fn five_seats_at_random() {
    let five = Settings {
        seats: 5,
        stale_reads: true,
        ..SETTINGS
    };
    let old = Settings {
        health: HealthRule::Every,
        ..five
    };
    let alone = Settings {
        operator: false,
        ..five
    };
    for (seed, settings) in [(1, five), (2, old), (3, alone)] {
        let mut model = Model::new(settings);
        let walked = walk::walk(&mut model, 100_000, seed);
        println!("{walked:?}");
        if let Some(trace) = &walked.trace {
            panic!("{}", explain::trace(&mut model, trace));
        }
        assert!(walked.converged > 800 && walked.excused * 3 < walked.converged);
    }
}

#[test]
fn every_deliberate_bug_is_found() {
    for bug in Bug::value_variants() {
        let (mut model, found) = hunt(*bug);
        let trace = found.trace.unwrap_or_else(|| panic!("{bug:?} is not found"));
        let told = explain::trace(&mut model, &trace);
        println!("{bug:?}, in {} states:\n{told}", found.states);
        assert!(
            trace.broken.contains(bug.breaks()),
            "{bug:?} breaks something else:\n{told}"
        );
        assert!(told.lines().count() < 20, "a counterexample to read in one go");
    }
}

/// The lowest seat is down when four others are to leave, and comes back at any time.
#[test]
fn five_seats_shrink_to_any_size_with_a_wanted_one_down() {
    let mut model = Model::new(Settings { seats: 5, ..SETTINGS });
    let mut start = model.at_rest(5);
    start.faults = 1;
    let mut start = model.apply(&start, Move::PodDies(0)).unwrap().state;
    start.scalings = 1;
    let walked = walk::walk_from(&mut model, start, 1_000, 60, 3);
    println!("{walked:?}");
    if let Some(trace) = &walked.trace {
        panic!("{}", explain::trace(&mut model, trace));
    }
    assert_eq!(walked.excused, 0);
}
