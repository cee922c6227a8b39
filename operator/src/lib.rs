//! The operator: it turns an `EtcdCluster` into a StatefulSet and a few
//! objects around it, and sizes it. It talks to the API server and to nobody
//! else; membership is the agents' business.
//!
//! ```text
//!   dereference ─▶ validate ─▶ plan the size ─▶ build ─▶ apply ─▶ status
//!      reads         pure          pure         pure    writes   writes
//! ```

pub mod apply;
pub mod build;
pub mod cli;
pub mod conditions;
pub mod controller;
pub mod dereference;
pub mod error;
pub mod events;
pub mod foreign;
pub mod founding;
pub mod generate;
pub mod health;
pub mod http;
pub mod lease;
pub mod leftovers;
pub mod logs;
pub mod metrics;
pub mod notices;
pub mod reconcile;
pub mod retry;
pub mod rollout;
pub mod run;
pub mod situation;
pub mod sizing;
pub mod status;
pub mod template;
pub mod validate;
