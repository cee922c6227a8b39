//! The agent beside etcd: `muster-agent serve`.
//!
//! ```text
//!   [`supervise`] ── keeps running ── [`run`]
//!                                       │
//!             ┌───────── [`observe`] ▶ decide ▶ [`act`] ─────────┐
//!             └──────────── [`report`], Events ◀─────────────────┘
//! ```
//!
//! [`run`] is the loop, [`agent`] the state between two turns of it, [`http`] the port where others
//! read the report. [`install`] puts the executable where etcd's container can run it.

pub mod act;
pub mod agent;
pub mod http;
pub mod install;
pub mod observe;
pub mod run;
pub mod supervise;
