//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The agent's image of this release.
pub const AGENT_IMAGE: &str = concat!("docker.io/muster/agent:", env!("CARGO_PKG_VERSION"));
/// The operator's image of this release.
pub const OPERATOR_IMAGE: &str = concat!("docker.io/muster/operator:", env!("CARGO_PKG_VERSION"));

/// Runs etcd clusters on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "muster-operator", version)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(Settings),
    /// Write the manifests that belong to this release.
    Generate(Generate),
}

/// How the operator runs.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The image of the agent in new pods.
    #[arg(long, env = "MUSTER_AGENT_IMAGE", default_value = AGENT_IMAGE)]
    pub agent_image: String,
    /// The one namespace to look after, instead of all.
    #[arg(long, env = "MUSTER_NAMESPACE")]
    pub namespace: Option<String>,
    /// The namespace of the Lease that elects one operator.
    #[arg(long, env = "POD_NAMESPACE", default_value = "muster-system")]
    pub lease_namespace: String,
    /// The name under which this operator holds the Lease.
    #[arg(long, env = "POD_NAME", default_value = "muster-operator")]
    pub identity: String,
    /// Where health and metrics are served.
    #[arg(long, env = "MUSTER_LISTEN", default_value = "[::]:8080")]
    pub listen: SocketAddr,
    /// What is logged: a level, or directives such as muster_operator=debug.
    #[arg(long, env = "MUSTER_LOG", default_value = "info,kube_runtime=warn")]
    pub log: String,
    /// How it is logged.
    #[arg(long, env = "MUSTER_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Which manifests to write, and where.
#[derive(Debug, Clone, Args)]
pub struct Generate {
    /// One of them, to standard output; otherwise all, into the folder.
    #[arg(value_enum)]
    pub manifest: Option<Manifest>,
    /// The folder.
    #[arg(long, default_value = "deploy")]
    pub dir: PathBuf,
    /// Write nothing, and fail if a file differs from what would be written.
    #[arg(long)]
    pub check: bool,
}

/// A generated manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Manifest {
    /// The definition of EtcdCluster.
    Crd,
    /// The operator and all it needs.
    Install,
    /// One etcd cluster that needs neither operator nor definition.
    NoOperator,
}
