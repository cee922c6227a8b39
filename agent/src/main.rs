//! The agent's program.

use std::process::ExitCode;

use clap::Parser;
use muster_agent::cli::{Command, Options, install_logs};
use muster_agent::hook::{leave, without_agent};
use muster_agent::launcher::launch;
use muster_agent::sidecar::{install, run, supervise};

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    install_logs(&options);
    // Before any runtime: the parent stays as small as it can.
    if matches!(options.command, Command::Serve) {
        supervise::supervise(&["serve-worker".into()])?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(options.command))
}

async fn play(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve => {}
        Command::ServeWorker(config) => {
            rustls::crypto::ring::default_provider()
                .install_default()
                .map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
            run::run(*config).await?;
        }
        Command::Launch => return Ok(launch::launch(launch::LaunchConfig::from_env()).await?.into()),
        Command::Leave => {
            let say = |line: &str| eprintln!("{line}");
            let end = leave::leave(leave::LeaveConfig::default(), say, without_agent::serve_on).await;
            tracing::info!(?end, "the hook ends");
        }
        Command::Install { target } => install::install(&target)?,
    }
    Ok(ExitCode::SUCCESS)
}
