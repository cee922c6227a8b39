//! The command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::cases::fault::FAULTS;
use crate::cases::matrix::cases;
use crate::cases::step::STEPS;
use crate::cases::table::table;
use crate::run::{Plan, run};

/// Faults between every two steps: real agents and real etcd, no Kubernetes.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays cases, and prints the coverage table.
    Run(Plan),
    /// Prints the steps, the faults, and the cases' names.
    List,
    /// Prints the coverage table as it is meant.
    Table,
}

/// Parses the command line, and carries it out.
pub(crate) fn main() -> Result<ExitCode> {
    let Options { command } = Options::parse();
    match command {
        Command::Run(plan) => return run(plan),
        Command::List => list(),
        Command::Table => print!("{}", table(&[])),
    }
    Ok(ExitCode::SUCCESS)
}

fn list() {
    println!("Steps:");
    for step in STEPS {
        println!("  {:18} {}", step.name, step.about);
    }
    println!("\nFaults:");
    for fault in FAULTS {
        println!("  {:18} {}", fault.name(), fault.about());
    }
    println!("\nCases:");
    for case in cases() {
        println!("  {}", case.name());
    }
}
