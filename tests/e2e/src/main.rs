//! End-to-end scenarios on a real Kubernetes.
//!
//! ```text
//!   cli ── runner ── scenarios/*      what a user does, in the user's words
//!            │           │
//!            │           ├── cluster, kubectl, bed    the hands
//!            │           ├── judge, etcd, agent       the eyes: etcd itself decides
//!            │           └── writer                   a client with a memory
//!            ├── sampler   invariants, several times a second, all the while
//!            ├── operator_traffic  packets from the operator to etcd: dropped and counted
//!            └── evidence  what a failed scenario leaves behind
//! ```
//!
//! Success is judged from etcd (the member list of every member, linearizable
//! reads) and from Kubernetes, never from what Muster says about itself.

mod agent;
mod bed;
mod bench;
mod churn;
mod cli;
mod cluster;
mod ctx;
mod evidence;
mod judge;
mod kubectl;
mod namespace;
mod operator_traffic;
mod plain;
mod pods;
mod procs;
mod runner;
mod sampler;
mod scenario;
mod scenarios;
mod world;
mod writer;

use std::process::ExitCode;

use muster_test_support::{etcd, wait};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("a TLS provider was already installed");
    }
    match tokio::task::LocalSet::new().run_until(cli::run()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("muster-e2e: {error:#}");
            ExitCode::from(2)
        }
    }
}
