//! The agent beside etcd: `muster-agent serve`.
//!
//! ```text
//!   supervise ── keeps running ── run
//!                                  │
//!          ┌────────── observe ▶ decide ▶ act ──────────┐
//!          └──────────── report, Events ◀───────────────┘
//! ```
//!
//! [`run`] is the loop and [`agent`] the state between two turns of it; [`http`] is the port where others read
//! [`report`] and [`metrics`]. [`install`] puts the executable where etcd's container can run it.

pub(crate) mod act;
pub(crate) mod agent;
pub(crate) mod clock;
mod confirm;
pub(crate) mod http;
pub(crate) mod install;
pub(crate) mod metrics;
pub(crate) mod observe;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod state;
pub(crate) mod supervise;
