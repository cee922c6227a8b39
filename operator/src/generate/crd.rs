//! The definition of EtcdCluster.

use kube::CustomResourceExt;
use muster_api::EtcdCluster;

use super::{manifest, yaml};

/// The manifest.
pub(super) fn text() -> anyhow::Result<String> {
    Ok(manifest("Generated. The definition of EtcdCluster.", vec![object()?]))
}

/// The definition alone.
pub(super) fn object() -> anyhow::Result<String> {
    yaml(&EtcdCluster::crd())
}
