//! muster-agent

pub mod install;
pub mod launcher;
pub mod supervise;
pub mod volume;
