//! Events.

pub mod log;
pub mod writer;
