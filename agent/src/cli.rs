//! Commands of the executable, one for each role in the pod.

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::Config;

/// The agent in every etcd pod of a Muster cluster.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// Log filter, as tracing directives.
    #[arg(long, env = "MUSTER_LOG", default_value = "info", global = true)]
    pub(crate) log: String,
    /// Form of the log lines.
    #[arg(long, env = "MUSTER_LOG_FORMAT", value_enum, default_value = "text", global = true)]
    pub(crate) log_format: LogFormat,
    /// The role to play.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The roles of the executable.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The agent's container: keeps the agent running.
    Serve,
    /// The agent itself, as the child of `serve`.
    #[command(hide = true)]
    ServeWorker(Box<Config>),
    /// The etcd container: runs etcd as the agent says.
    Launch,
    /// The preStop hook of the etcd container.
    Leave,
    /// Puts this executable where the etcd container can run it.
    Install {
        /// Path of the copy.
        #[arg(default_value = "/run/muster/muster-agent")]
        target: std::path::PathBuf,
    },
}

/// Sends log lines to standard error.
pub(crate) fn install_logs(options: &Options) {
    let filter = tracing_subscriber::EnvFilter::try_new(&options.log)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    match options.log_format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
