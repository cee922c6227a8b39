//! The identity of a cluster's agents.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::validate::ValidatedCluster;

/// Builds the ServiceAccount. Its token is mounted into the agent alone.
pub(super) fn build(cluster: &ValidatedCluster) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(cluster, &cluster.names.agent_account()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
