//! The model, as far as it fits into a test run. More, by choice: `muster-membership-model check --help`.

use clap::ValueEnum;
use muster_membership_model::bugs::Bug;
use muster_membership_model::etcd::HealthRule;
use muster_membership_model::moves::{Model, Move, Settings};
use muster_membership_model::search::{Bounds, search};
use muster_membership_model::{From, hunt, starts, tell, walk};

const SETTINGS: Settings = Settings {
    seats: 2,
    health: HealthRule::Quorum,
    operator: true,
    stale_reads: false,
    bug: None,
};

/// Searches everything with so many faults and scalings, and runs fairly from one of so many states.
fn check(settings: Settings, faults: u8, scalings: u8, settle_every: usize) {
    let mut model = Model::new(settings);
    let starts = starts(&mut model, From::All, faults, scalings);
    let bounds = Bounds {
        states: 8_000_000,
        settle_every,
    };
    let found = search(&mut model, &starts, bounds);
    println!(
        "{} states, {} moves, depth {}, {} fair runs",
        found.states, found.moves, found.depth, found.settled
    );
    if let Some(trace) = &found.trace {
        panic!("{}", tell::trace(&mut model, trace));
    }
    assert!(found.complete, "the bounds are too narrow to be complete");
    assert!(found.settled > 1_000, "hardly any fair run was tried");
}

#[test]
fn one_seat_with_three_faults_and_two_scalings() {
    check(Settings { seats: 1, ..SETTINGS }, 3, 2, 1);
}

#[test]
fn two_seats_with_two_faults_and_a_scaling() {
    check(SETTINGS, 2, 1, 2);
}

#[test]
fn two_seats_with_a_fault_and_a_scaling_while_api_reads_are_stale() {
    let settings = Settings {
        stale_reads: true,
        ..SETTINGS
    };
    check(settings, 1, 1, 1);
}

#[test]
fn two_seats_with_the_old_health_rule() {
    let settings = Settings {
        health: HealthRule::Every,
        ..SETTINGS
    };
    check(settings, 1, 1, 1);
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
    check(Settings { seats: 3, ..SETTINGS }, 0, 1, 2);
}

#[test]
fn three_seats_with_a_fault() {
    check(Settings { seats: 3, ..SETTINGS }, 1, 0, 8);
}

#[test]
fn five_seats_at_random() {
    for (seed, health) in [(1, HealthRule::Quorum), (2, HealthRule::Every)] {
        let mut model = Model::new(Settings {
            seats: 5,
            health,
            stale_reads: true,
            ..SETTINGS
        });
        let walked = walk::walk(&mut model, 40_000, seed);
        println!("{walked:?}");
        if let Some(trace) = &walked.trace {
            panic!("{}", tell::trace(&mut model, trace));
        }
        assert!(walked.converged > 300 && walked.excused * 3 < walked.converged);
    }
}

#[test]
fn every_deliberate_bug_is_found() {
    for bug in Bug::value_variants() {
        let (mut model, found) = hunt(*bug);
        let trace = found.trace.unwrap_or_else(|| panic!("{bug:?} is not found"));
        let told = tell::trace(&mut model, &trace);
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
        panic!("{}", tell::trace(&mut model, trace));
    }
    assert_eq!(walked.excused, 0);
}
