//! A fake Kubernetes, as much as an agent sees of it: the API server, the names of pods, and the kubelet.

pub(crate) mod api;
pub(crate) mod container;
pub(crate) mod names;
pub(crate) mod objects;
pub(crate) mod pod;

/// The cluster's name.
pub(crate) const CLUSTER: &str = "c";
/// The namespace.
pub(crate) const NAMESPACE: &str = "faults";
/// The DNS domain.
pub(crate) const DOMAIN: &str = "cluster.local";
