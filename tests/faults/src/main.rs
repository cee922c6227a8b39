//! Faults between every two steps: real agents and real etcd, no Kubernetes.
//!
//! ```text
//!   cli ── run ── cases/*       step x fault, and how one cell is played
//!                   │
//!                   ├── cluster/*    pods with their volumes, a client, a judge
//!                   ├── fake_kubernetes/*   as much as an agent sees: API, names, kubelet
//!                   └── stage/*      namespaces, proxies, and the gate that all traffic passes
//! ```
//!
//! Whatever happens between two parts passes the gate, where a case can hold it,
//! strike, and let it go on or be lost. README.md tells more.

mod cases;
mod cli;
mod cluster;
mod fake_kubernetes;
mod run;
mod stage;

use std::process::ExitCode;

use muster_test_support::wait;

fn main() -> ExitCode {
    // Started under etcd's name, by a launcher: this is the door that etcd's start passes.
    if std::env::args().next().is_some_and(|name| name.ends_with("/etcd")) {
        return stage::door::knock();
    }
    match cli::main() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("muster-faults: {error:#}");
            ExitCode::from(2)
        }
    }
}
