//! The preStop hook of etcd's container: `muster-agent leave`.
//!
//! [`leave`] asks the agent and waits; [`without_agent`] is for when there is no agent to ask. Only the
//! latter speaks to etcd.

pub mod leave;
pub mod without_agent;
