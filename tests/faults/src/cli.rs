//! The command line.

use std::process::ExitCode;
use std::rc::Rc;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::cluster::templates::Templates;
use crate::run::Kit;
use crate::stage::apart;

#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays cases.
    Run {
        /// pinned, newest-3.5, newest-3.6 or mixed.
        #[arg(long, default_value = "pinned")]
        etcd: String,
    },
}

/// Parses and does.
pub(crate) fn main() -> Result<ExitCode> {
    let Options { command } = Options::parse();
    match command {
        Command::Run { etcd } => {
            if !apart::is_inside() {
                return apart::go_inside();
            }
            apart::furnish()?;
            let kit = Rc::new(Kit::pack(&etcd)?);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let start = std::time::Instant::now();
                Templates::make(&kit, std::path::Path::new("/run/faults/templates")).await?;
                println!("templates in {:.1} s", start.elapsed().as_secs_f64());
                anyhow::Ok(())
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
