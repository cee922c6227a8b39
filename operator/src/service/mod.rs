//! The operator as a program: its Lease, retries, HTTP endpoints, metrics and logs.

pub(crate) mod http;
pub(crate) mod lease;
pub mod logs;
pub(crate) mod metrics;
pub(crate) mod refusals;
pub(crate) mod retry;
pub(crate) mod watches;
