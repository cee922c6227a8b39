//! Both ends of the socket between the agent and the process that runs etcd.
//!
//! ```text
//!  etcd's container                                agent's container
//!  ┌───────────────────────────┐   agent.sock   ┌──────────────────────┐
//!  │ launch ([`launch`])  ◀────┼────────────────┼───▶ server ([`server`]) │
//!  │   └── etcd                │                │       ▲                │
//!  │ leave  ([`leave`])   ◀────┼────────────────┼───────┘                │
//!  └───────────────────────────┘                └──────────────────────┘
//! ```
//!
//! - The launcher decides nothing: it runs what it is told, and says how it ended.
//! - etcd outlives the agent: a lost connection changes nothing for etcd.
//! - Whoever holds the volume's lock is the only one who runs etcd on it.

pub mod launch;
pub mod leave;
pub mod protocol;
pub mod server;

pub(crate) mod child;
mod link;

pub use launch::{LaunchConfig, launch};
pub use leave::{LeaveConfig, LeaveEnd, leave};
pub use protocol::{Exit, LaunchId, Lock, SOCKET};
pub use server::{Launcher, LauncherState, LeaveRequest, NotConnected, Phase, Server, listen};
