//! Checks the membership core: `check`, `walk`, `bugs`, `table`.

mod table;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};
use muster_membership_model::bugs::Bug;
use muster_membership_model::etcd::HealthRule;
use muster_membership_model::model::Model;
use muster_membership_model::moves::{Settings, Trace};
use muster_membership_model::search::{Bounds, search};
use muster_membership_model::{From, explain, starts, walk};

#[derive(Parser)]
#[command(about = "Checks the membership decisions against a model of etcd, Kubernetes and their faults")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Searches every state within the bounds.
    Check {
        /// The number of seats.
        #[arg(long, default_value_t = 3)]
        seats: usize,
        /// The most faults on one way.
        #[arg(long, default_value_t = 1)]
        faults: u8,
        /// The most scalings on one way.
        #[arg(long, default_value_t = 1)]
        scalings: u8,
        /// The states where the search starts.
        #[arg(long, default_value = "all")]
        from: From,
        /// The most states.
        #[arg(long, default_value_t = 20_000_000)]
        states: usize,
        /// The number of states of which one is tried with a fair run.
        #[arg(long, default_value_t = 1)]
        fair_run_every: usize,
        /// etcd's health check is that of 3.5.29 and before: every voter must be connected.
        #[arg(long)]
        old_health_rule: bool,
        /// Do without an operator.
        #[arg(long)]
        no_operator: bool,
        /// An agent may know something older from the API server than from etcd.
        #[arg(long)]
        stale_reads: bool,
        /// The deliberate bug to search with.
        #[arg(long)]
        bug: Option<Bug>,
    },
    /// Walks at random.
    Walk {
        /// The number of seats.
        #[arg(long, default_value_t = 5)]
        seats: usize,
        /// The number of moves.
        #[arg(long, default_value_t = 1_000_000)]
        steps: usize,
        /// The seed of the random moves.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// etcd's health check is that of 3.5.29 and before: every voter must be connected.
        #[arg(long)]
        old_health_rule: bool,
        /// Do without an operator.
        #[arg(long)]
        no_operator: bool,
        /// An agent may know something older from the API server than from etcd.
        #[arg(long)]
        stale_reads: bool,
    },
    /// Shows that each deliberate bug is found.
    Bugs,
    /// Runs the long searches and walks, and prints a table.
    Table,
}

fn health(old: bool) -> HealthRule {
    if old { HealthRule::Every } else { HealthRule::Quorum }
}

fn main() -> ExitCode {
    let began = Instant::now();
    let trace = match Args::parse().command {
        Command::Check {
            seats,
            faults,
            scalings,
            from,
            states,
            fair_run_every,
            old_health_rule,
            no_operator,
            stale_reads,
            bug,
        } => {
            let mut model = Model::new(Settings {
                seats,
                health: health(old_health_rule),
                operator: !no_operator,
                stale_reads,
                bug,
            });
            let starts = starts(&mut model, from, faults, scalings);
            let found = search(&mut model, &starts, Bounds { states, fair_run_every });
            println!(
                "{} states, {} moves, depth {}, {}; fair runs from {} states; {:.1} s",
                found.states,
                found.moves,
                found.depth,
                if found.complete { "complete" } else { "cut off" },
                found.fair_runs,
                began.elapsed().as_secs_f64(),
            );
            for (why, count) in &found.excused {
                println!("  {count} of them end otherwise: {why}");
            }
            show(&mut model, found.trace)
        }
        Command::Walk {
            seats,
            steps,
            seed,
            old_health_rule,
            no_operator,
            stale_reads,
        } => {
            let mut model = Model::new(Settings {
                seats,
                health: health(old_health_rule),
                operator: !no_operator,
                stale_reads,
                bug: None,
            });
            let walked = walk::walk(&mut model, steps, seed);
            println!(
                "{} moves with {} faults; {} fair runs converged ({} after a rescue), {} were excused; {:.1} s",
                walked.moves,
                walked.faults,
                walked.converged,
                walked.rescued,
                walked.excused,
                began.elapsed().as_secs_f64(),
            );
            show(&mut model, walked.trace)
        }
        Command::Bugs => bugs(),
        Command::Table => table::print(),
    };
    if trace { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn show(model: &mut Model, trace: Option<Trace>) -> bool {
    match trace {
        Some(trace) => {
            println!("{}", explain::trace(model, &trace));
            true
        }
        None => false,
    }
}

fn bugs() -> bool {
    let mut missed = false;
    for bug in Bug::value_variants() {
        let began = Instant::now();
        let (mut model, found) = muster_membership_model::hunt(*bug);
        println!(
            "{bug:?}: {} states, {:.1} s",
            found.states,
            began.elapsed().as_secs_f64()
        );
        match found.trace {
            Some(trace) => println!("{}", explain::trace(&mut model, &trace)),
            None => {
                println!("  NOT FOUND\n");
                missed = true;
            }
        }
    }
    missed
}
