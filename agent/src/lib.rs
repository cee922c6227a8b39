//! The agent in every etcd pod.
//!
//! ```text
//!   agent container                              etcd container
//!   serve ── keeps running ── serve-worker       launch (PID 1) ── etcd
//!                              │      ▲ socket ▲       leave (preStop)
//!              look ▶ decide ▶ act    └────────┴──────────┘
//! ```
//!
//! One executable with the roles of the pod:
//!
//! - `sidecar`: the agent, its parent process, and the copy of the executable for etcd's container;
//! - `launcher`: process 1 of etcd's container;
//! - `hook`: the preStop hook of etcd's container.
//!
//! `socket` is between them, and `volume` is what all containers see. `flags` has etcd's start flags, `etcd` and
//! `kubernetes` are the edges, and `muster_membership` decides. The launcher uses the socket's protocol, the
//! volume and nothing else of these, so that it can become a small executable of its own; the hook needs
//! `etcd` in one file.

mod backoff;
mod child;
mod cli;
mod config;
mod etcd;
mod flags;
mod hook;
mod http_get;
mod kubernetes;
mod launcher;
mod one_line;
mod sidecar;
mod socket;
pub mod volume;

use std::process::ExitCode;

pub use cli::Options;
use cli::{Command, install_logs};

/// Plays the role that the command line names, to its end.
///
/// # Errors
/// A role that cannot be played: the settings, the socket, a port.
pub fn run(options: Options) -> anyhow::Result<ExitCode> {
    install_logs(&options);
    // Before any runtime: the parent stays as small as it can.
    if matches!(options.command, Command::Serve) {
        sidecar::supervise::supervise(&["serve-worker".into()])?;
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
            sidecar::run::run(*config).await?;
        }
        Command::Launch => {
            let config = launcher::launch::LaunchConfig::from_env();
            return Ok(launcher::launch::launch(config).await?.into());
        }
        Command::Leave => {
            let say = |line: &str| eprintln!("{line}");
            let config = hook::leave::LeaveConfig::default();
            let end = hook::leave::leave(config, say, hook::without_agent::serve_on).await;
            tracing::info!(?end, "the hook ends");
        }
        Command::Install { target } => sidecar::install::install(&target)?,
    }
    Ok(ExitCode::SUCCESS)
}
