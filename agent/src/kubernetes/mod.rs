//! The agent's view of the API server: its StatefulSet, the birth record, the EndpointSlices.

mod birth_record;
pub mod events;
#[cfg(test)]
mod mock_api;
mod peers;
mod publish;
mod workload;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use muster_api::cluster::EtcdCluster;

pub use birth_record::BirthStore;
pub use events::writer::EventWriter;
pub use peers::{Address, Slices};
pub use publish::{LeaderView, Publisher};
pub use workload::WorkloadReader;

use crate::config::Config;

/// Clients for the few objects that concern this agent.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    stateful_sets: Api<StatefulSet>,
    pods: Api<Pod>,
    config_maps: Api<ConfigMap>,
    slices: Api<EndpointSlice>,
    clusters: Api<EtcdCluster>,
    config: Config,
}

impl Kubernetes {
    /// Clients in the pod's namespace.
    #[must_use]
    pub fn new(client: kube::Client, config: &Config) -> Self {
        let namespace = &config.namespace;
        Self {
            stateful_sets: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
            slices: Api::namespaced(client.clone(), namespace),
            clusters: Api::namespaced(client, namespace),
            config: config.clone(),
        }
    }
}
