//! A model of everything around the membership core, and a checker over it.
//!
//! See `README.md` for what is modelled, what is not, and how to read a counterexample.

pub mod bugs;
pub mod canonical;
pub mod decision_invariants;
pub mod etcd;
pub mod explain;
pub mod intern;
pub mod kubernetes;
pub mod liveness;
pub mod look;
pub mod model;
pub mod moves;
pub mod phrases;
pub mod search;
pub mod state;
pub mod steps;
pub mod time;
pub mod view;
pub mod walk;

use bugs::Bug;
use etcd::HealthRule;
use model::Model;
use moves::Settings;
use search::{Bounds, Found, search};
use state::State;

/// The states where a search starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum From {
    /// Clusters that do not exist yet.
    Unborn,
    /// Clusters at rest.
    Rest,
    /// Both kinds.
    All,
}

/// The states where a search starts, of every size.
pub fn starts(model: &mut Model, from: From, faults: u8, scalings: u8) -> Vec<State> {
    let most = u8::try_from(model.settings.seats).unwrap_or(u8::MAX);
    let mut starts = vec![];
    for replicas in 1..=most {
        if from != From::Rest {
            starts.push(model.unborn(replicas, true));
            starts.push(model.unborn(replicas, false));
        }
        if from != From::Unborn {
            starts.push(model.at_rest(replicas));
        }
    }
    for start in &mut starts {
        start.faults = faults;
        start.scalings = scalings;
    }
    starts
}

/// Searches for the counterexample of a deliberate bug.
#[must_use]
pub fn hunt(bug: Bug) -> (Model, Found) {
    let mut model = Model::new(Settings {
        seats: 3,
        health: HealthRule::Quorum,
        operator: true,
        stale_reads: false,
        bug: Some(bug),
    });
    let starts = match bug {
        // Takes a race of a promotion, a removal, and a link that is cut.
        Bug::AsksAnybodyToRemove => vec![State {
            faults: 1,
            scalings: 1,
            ..model.with_learner(3, 1)
        }],
        _ => starts(&mut model, From::All, 2, 1),
    };
    let bounds = Bounds {
        states: 3_000_000,
        fair_run_every: usize::from(bug == Bug::WaitsForItsOldMember),
    };
    let found = search(&mut model, &starts, bounds);
    (model, found)
}
