//! The command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::bed::Bed;
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
    /// Run scenarios: those named, or all.
    Run(Run),
}

#[derive(Debug, Args)]
struct Run {
    /// Names of scenarios; NAME@VERSION chooses an etcd version.
    names: Vec<String>,
    /// The etcd version: pinned, newest-3.5, newest-3.6, or a version.
    #[arg(long)]
    etcd: Option<String>,
    /// Keep the namespaces.
    #[arg(long)]
    keep: bool,
    /// How many scenarios at a time, of those that do not disturb others.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

/// Does what the command line says.
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
            let plan = Plan { names: run.names, etcd: run.etcd, keep: run.keep, jobs: run.jobs };
            runner::run(world, &plan).await?
        }
    };
    Ok(exit_code(good))
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
