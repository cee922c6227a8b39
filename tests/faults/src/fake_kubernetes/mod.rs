//! A fake Kubernetes, as much as an agent sees of it: the API server, the names of pods, and the kubelet.

pub(crate) mod api;
pub(crate) mod container;
pub(crate) mod names;
pub(crate) mod objects;
pub(crate) mod pod;

pub(crate) const CLUSTER: &str = "c";
pub(crate) const NAMESPACE: &str = "faults";
pub(crate) const DOMAIN: &str = "cluster.local";
