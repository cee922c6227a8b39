//! The definition of EtcdCluster.

use kube::CustomResourceExt;
use muster_api::EtcdCluster;

use super::{manifest, yaml};

pub(super) fn text() -> anyhow::Result<String> {
    Ok(manifest("Generated. The definition of EtcdCluster.", vec![object()?]))
}

/// The definition without a header.
pub(super) fn object() -> anyhow::Result<String> {
    yaml(&EtcdCluster::crd())
}
