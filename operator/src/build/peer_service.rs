//! The headless Service under which members find each other.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use muster_api::names::{AGENT_PORT, PEER_PORT};

use super::metadata;
use crate::validate::ValidatedCluster;

/// Builds the Service. It publishes pods that are not ready: a member has to
/// be reached in order to become ready.
pub(super) fn build(cluster: &ValidatedCluster) -> Service {
    let port = |name: &str, port: u16| ServicePort {
        name: Some(name.to_owned()),
        port: port.into(),
        ..ServicePort::default()
    };
    Service {
        metadata: metadata(cluster, &cluster.names.peer_service()),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            publish_not_ready_addresses: Some(true),
            selector: Some(cluster.names.selector()),
            ports: Some(vec![port("peer", PEER_PORT), port("agent", AGENT_PORT)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
