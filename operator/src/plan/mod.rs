//! Decisions of a reconciliation: functions of what was read. No client.

pub mod birth_record;
pub mod cleanup;
pub mod pod_template;
pub mod rollout;
pub mod size;
pub mod size_input;
