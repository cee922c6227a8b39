//! The agent in every etcd pod.
//!
//! ```text
//!   agent container                              etcd container
//!   serve ── keeps running ── serve-worker       launch (PID 1) ── etcd
//!                              │      ▲ socket ▲       leave (preStop)
//!              look ▶ decide ▶ act    └────────┴──────────┘
//! ```
//!
//! One executable plays four roles: [`sidecar`] (and its `install`), [`launcher`], [`hook`]. They share
//! [`socket`], [`volume`], [`etcd`]. [`muster_membership`] decides.

pub mod child;
pub mod cli;
pub mod config;
pub mod etcd;
pub mod hook;
pub mod http_get;
pub mod kubernetes;
pub mod launcher;
pub mod sidecar;
pub mod socket;
pub mod volume;
