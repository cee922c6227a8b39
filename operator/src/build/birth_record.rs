//! The ConfigMap that says whether the cluster was ever formed.

use k8s_openapi::api::core::v1::ConfigMap;
use muster_api::birth::BirthRecord;

use super::metadata;
use crate::validate::ValidatedCluster;

/// Builds the ConfigMap. It ends with the EtcdCluster only if the data does:
/// retained volumes keep their record.
pub(crate) fn build(cluster: &ValidatedCluster, record: &BirthRecord) -> ConfigMap {
    ConfigMap {
        data: Some(record.to_data()),
        ..empty(cluster)
    }
}

/// The record of a plain manifest: without data, so that applying the manifest
/// again never takes a cluster's birth back.
pub(crate) fn empty(cluster: &ValidatedCluster) -> ConfigMap {
    let mut metadata = metadata(cluster, &cluster.names.birth_record());
    if !cluster.ends_with_owner() {
        metadata.owner_references = None;
    }
    ConfigMap {
        metadata,
        ..ConfigMap::default()
    }
}
