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
pub struct Arguments {
    /// Task of this process.
    #[command(subcommand)]
    pub command: Task,
}

/// A task of the program.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Run the operator.
    Run(Settings),
    /// Write the manifests that belong to this release.
    Generate(Generate),
}

/// Settings of the operator.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Image of the agent in new pods.
    #[arg(long, env = "MUSTER_AGENT_IMAGE", default_value = AGENT_IMAGE)]
    pub agent_image: String,
    /// The only namespace to look after. Default: all.
    #[arg(long, env = "MUSTER_NAMESPACE")]
    pub namespace: Option<String>,
    /// Namespace of the Lease that elects one operator.
    #[arg(long, env = "POD_NAMESPACE", default_value = "muster-system")]
    pub lease_namespace: String,
    /// Name under which this operator holds the Lease.
    #[arg(long, env = "POD_NAME", default_value = "muster-operator")]
    pub identity: String,
    /// Address for /livez, /readyz and /metrics.
    #[arg(long, env = "MUSTER_LISTEN", default_value = "[::]:8080")]
    pub listen: SocketAddr,
    /// Log level, or directives such as muster_operator=debug.
    #[arg(long, env = "MUSTER_LOG", default_value = "info,kube_runtime=warn")]
    pub log: String,
    /// Format of log lines.
    #[arg(long, env = "MUSTER_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogStyle,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogStyle {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Manifests to write, and their folder.
#[derive(Debug, Clone, Args)]
pub struct Generate {
    /// One manifest, to standard output. Default: all files, into their folders.
    #[arg(value_enum)]
    pub manifest: Option<Manifest>,
    /// Folder of the manifests and the chart.
    #[arg(long, default_value = "deploy")]
    pub dir: PathBuf,
    /// Folder of the documentation, where operations.md has the list of reasons.
    #[arg(long, default_value = "docs")]
    pub docs: PathBuf,
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
