//! The interface between Muster's parts: the `EtcdCluster` API, the names of
//! the objects that belong to a cluster, the annotations on its StatefulSet, its
//! birth record, the agent's status report, and the table of reasons.
//!
//! There is no I/O here. Everything is a type, or a function of its arguments.

pub mod birth;
pub mod bounds;
pub mod cluster;
mod event_note;
pub mod id;
pub mod names;
pub mod options;
mod rules;
pub mod status;
pub mod status_report;
pub mod version;
pub mod workload;

pub use cluster::{EtcdCluster, EtcdClusterSpec};
pub use event_note::event_note;
pub use id::HexId;
pub use muster_reasons::{self as reasons, Reason};
pub use names::Names;
pub use status::EtcdClusterStatus;
