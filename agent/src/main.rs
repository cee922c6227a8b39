//! The agent's program.

use std::process::ExitCode;

use clap::Parser;

fn main() -> anyhow::Result<ExitCode> {
    muster_agent::run(muster_agent::Options::parse())
}
