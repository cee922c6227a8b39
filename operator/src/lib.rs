//! The operator: it turns an `EtcdCluster` into a StatefulSet and a few
//! objects around it, and sizes it. It talks to the API server and to nobody
//! else; membership is the agents' business.
//!
//! ```text
//!   dereference ─▶ validate ─▶ plan ─▶ build ─▶ apply ─▶ status
//!      reads        pure      pure    pure    writes   writes
//! ```

pub mod apply;
pub mod build;
pub mod cli;
pub mod conditions;
pub mod controller;
pub mod dereference;
pub mod error;
pub mod events;
pub mod generate;
pub mod ownership;
pub mod plan;
pub mod reconcile;
pub mod run;
pub mod service;
pub mod status;
pub mod validate;
