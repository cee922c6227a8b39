//! The command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::bed::Bed;
use crate::bench;
use crate::churn;
use crate::runner::{self, Plan};
use crate::world::World;

/// End-to-end scenarios and benchmark on the test bed.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the names of the scenarios.
    List,
    /// Run scenarios: those named, or a suite.
    Run(Run),
    /// Measure the steps of scaling, beside the same pods without Muster.
    Bench(Bench),
    /// Random scaling and faults under several clients, whose history is checked.
    Churn(Churn),
}

#[derive(Debug, Args)]
struct Run {
    /// Names of scenarios; NAME@VERSION chooses an etcd version.
    names: Vec<String>,
    /// The suite, when no scenario is named.
    #[arg(long, default_value = "main")]
    suite: runner::Suite,
    /// The etcd version: pinned, newest-3.5, newest-3.6, or a version.
    #[arg(long)]
    etcd: Option<String>,
    /// Keep the namespaces.
    #[arg(long)]
    keep: bool,
    /// The number of scenarios at a time, of those that do not disturb others.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

#[derive(Debug, Args)]
struct Bench {
    /// The number of times that each step is measured.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// The etcd versions.
    #[arg(long, value_delimiter = ',', default_values = ["pinned", "newest-3.6"])]
    etcd: Vec<String>,
    /// The DNS configurations.
    #[arg(long, value_delimiter = ',', default_values = ["modern", "classic"])]
    dns: Vec<String>,
    /// The only subject to measure.
    #[arg(long)]
    only: Option<bench::Subject>,
    /// The time for which a cluster at rest is watched, in seconds.
    #[arg(long, default_value_t = 60)]
    rest: u64,
}

#[derive(Debug, Args)]
struct Churn {
    /// The length of scaling and faults, in minutes.
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// The same seed makes the same schedule.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The etcd version.
    #[arg(long, default_value = "pinned")]
    etcd: String,
    /// Keep the namespace.
    #[arg(long)]
    keep: bool,
}

/// Carries out the command line.
pub(crate) async fn run() -> Result<ExitCode> {
    let command = Cli::parse().command;
    if let Command::List = command {
        runner::list();
        return Ok(ExitCode::SUCCESS);
    }
    let bed = Bed::find()?;
    if !Bed::inside() {
        return Ok(exit_code(bed.enter().await? == 0));
    }
    let world = World::connect(bed).await?;
    let good = match command {
        Command::List => true,
        Command::Run(run) => {
            let plan = Plan {
                names: run.names,
                suite: run.suite,
                etcd: run.etcd,
                keep: run.keep,
                jobs: run.jobs,
            };
            runner::run(world, &plan).await?
        }
        Command::Bench(bench) => {
            let Bench {
                repeat,
                etcd,
                dns,
                only,
                rest,
            } = bench;
            bench::run(
                world,
                &bench::Plan {
                    repeat,
                    etcd,
                    dns,
                    only,
                    rest,
                },
            )
            .await?;
            true
        }
        Command::Churn(churn) => {
            let Churn {
                minutes,
                seed,
                etcd,
                keep,
            } = churn;
            churn::run(
                world,
                &churn::Plan {
                    minutes,
                    seed,
                    etcd,
                    keep,
                },
            )
            .await?
        }
    };
    Ok(exit_code(good))
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
