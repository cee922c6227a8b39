//! The operator as a program: its Lease, retries, HTTP endpoints, metrics and logs.

pub mod http;
pub mod lease;
pub mod logs;
pub mod metrics;
pub mod retry;
