//! The preStop hook of etcd's container: `muster-agent leave`.
//!
//! [`leave`] asks the agent and waits; [`without_agent`] is for when there is no agent to ask. Only the
//! latter speaks to etcd.

pub(crate) mod leave;
pub(crate) mod without_agent;
