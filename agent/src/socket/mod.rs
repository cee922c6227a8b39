//! The Unix socket between the agent and the processes of etcd's container.
//!
//! ```text
//!  etcd's container                                agent's container
//!  ┌───────────────────────────┐   agent.sock   ┌─────────────────────────┐
//!  │ launcher             ◀────┼────────────────┼───▶ server ([`server`]) │
//!  │   └── etcd                │                │        ▲                │
//!  │ hook                 ◀────┼────────────────┼────────┘                │
//!  └───────────────────────────┘                └─────────────────────────┘
//! ```
//!
//! Both sides need [`protocol`]; the agent alone needs [`server`].

pub(crate) mod protocol;
pub(crate) mod server;
