//! The API server, as far as one agent needs it: its StatefulSet, the birth record, the EndpointSlices, the
//! EtcdCluster's status, Events.

mod birth_record;
mod client;
mod cluster;
pub(crate) mod events;
#[cfg(test)]
pub(crate) mod mock_api;
mod peers;
mod publish;
mod workload;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::DynamicObject;

pub(crate) use birth_record::{BirthFailure, BirthStore};
pub(crate) use client::connect;
pub(crate) use events::writer::EventWriter;
pub(crate) use peers::{PeerAddress, Slices};
pub(crate) use publish::{LeaderView, Publisher};
pub(crate) use workload::WorkloadReader;

use crate::config::Config;

/// Clients for the few objects that concern this agent.
#[derive(Clone, Debug)]
pub(crate) struct Kubernetes {
    stateful_sets: Api<StatefulSet>,
    pods: Api<Pod>,
    config_maps: Api<ConfigMap>,
    slices: Api<EndpointSlice>,
    clusters: Api<DynamicObject>,
    config: Config,
}

impl Kubernetes {
    /// Clients in the pod's namespace.
    pub(crate) fn new(client: kube::Client, config: &Config) -> Self {
        let namespace = &config.namespace;
        Self {
            stateful_sets: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
            slices: Api::namespaced(client.clone(), namespace),
            clusters: cluster::api(client, namespace),
            config: config.clone(),
        }
    }
}
