//! The Service that etcd's clients use.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use muster_api::names::CLIENT_PORT;

use super::metadata;
use crate::validate::ValidatedCluster;

pub(super) fn build(cluster: &ValidatedCluster) -> Service {
    Service {
        metadata: metadata(cluster, cluster.names.client_service()),
        spec: Some(ServiceSpec {
            selector: Some(cluster.names.selector()),
            ports: Some(vec![ServicePort {
                name: Some("client".into()),
                port: CLIENT_PORT.into(),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
