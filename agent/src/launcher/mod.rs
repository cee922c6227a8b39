//! The launcher, process 1 of etcd's container: `muster-agent launch`.
//!
//! - The launcher decides nothing: it runs etcd as the agent orders, and reports its end.
//! - etcd outlives the agent: a lost connection changes nothing for etcd.
//! - The holder of the volume's lock is the only one that runs etcd on it.
//!
//! It uses the socket's protocol and the volume's lock, and nothing of the API server, of etcd's
//! clients or of the agent: so it can become a small executable of its own.

pub(crate) mod launch;
mod link;
mod tail;
