//! The agent in every etcd pod.
//!
//! ```text
//!   agent container                              etcd container
//!   serve ── keeps running ── serve-worker       launch (PID 1) ── etcd
//!                              │      ▲ socket ▲       leave (preStop)
//!              look ▶ decide ▶ act    └────────┴──────────┘
//! ```
//!
//! [`run`] is the loop; [`observe`] looks, [`muster_membership`] decides, [`act`] acts. The other
//! modules are the edges: the API server, etcd, the volume, the launcher, HTTP.

pub mod act;
pub mod agent;
pub mod alone;
pub mod cli;
pub mod config;
pub mod corruption;
pub mod etcd;
pub mod get;
pub mod http;
pub mod install;
pub mod kubernetes;
pub mod launcher;
pub mod news;
pub mod observe;
pub mod report;
pub mod run;
pub mod supervise;
pub mod volume;
