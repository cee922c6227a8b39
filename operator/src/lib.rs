//! The operator: it turns an `EtcdCluster` into a StatefulSet and a few
//! objects around it, and sizes it. It talks to the API server and to nobody
//! else; membership is the agents' business.
//!
//! ```text
//!   dereference ─▶ validate ─▶ plan ─▶ build ─▶ apply ─▶ status
//!      reads        pure      pure    pure    writes   writes
//! ```

mod apply;
mod build;
pub mod cli;
mod conditions;
mod context;
mod controller;
mod dereference;
mod error;
mod events;
pub mod generate;
mod obstacle;
mod ownership;
mod plan;
mod reconcile;
pub mod run;
mod service;
mod status;
mod stored;
mod validate;
mod written;

pub use service::logs;
