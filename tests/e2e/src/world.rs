//! The world that all scenarios share: the Kubernetes client, the bed, the versions.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::config::{Config, KubeConfigOptions};
use kube::core::{ApiResource, GroupVersionKind};

use crate::bed::Bed;
use crate::etcd::Clients;
use crate::operator_traffic::OperatorTraffic;

/// The namespace of the operator.
pub(crate) const SYSTEM: &str = "muster-system";
/// The operator's Deployment.
pub(crate) const OPERATOR: &str = "muster-operator";

/// The world that all scenarios share.
pub(crate) struct World {
    /// A client of the API server.
    pub(crate) client: kube::Client,
    /// The test bed.
    pub(crate) bed: Bed,
    /// The etcd versions there are images of.
    pub(crate) versions: Versions,
    /// Clients of etcd, for questions that may take a moment.
    pub(crate) etcd: Clients,
    /// The count of packets from the operator to etcd.
    pub(crate) operator_traffic: OperatorTraffic,
}

/// The etcd versions there are images of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Versions {
    entries: Vec<(String, String)>,
}

impl World {
    /// Looks at the bed and connects to its API server.
    pub(crate) async fn connect(bed: Bed) -> Result<Self> {
        let mut config = Config::from_kubeconfig(&KubeConfigOptions::default())
            .await
            .context("no kubeconfig; is the test bed up?")?;
        config.connect_timeout = Some(Duration::from_secs(3));
        config.read_timeout = Some(Duration::from_secs(15));
        let client = kube::Client::try_from(config)?;
        client
            .apiserver_version()
            .await
            .context("the API server does not answer; is the test bed up?")?;
        let versions = Versions::parse(&bed.call(&["versions"]).await?);
        let operator_traffic = OperatorTraffic::new(bed.clone());
        Ok(Self {
            client,
            bed,
            versions,
            etcd: Clients::with_patience(Duration::from_secs(5)),
            operator_traffic,
        })
    }
}

impl Versions {
    /// Lines of a name and a version.
    fn parse(text: &str) -> Self {
        let entries = text.lines().filter_map(|line| {
            let (name, version) = line.split_once(char::is_whitespace)?;
            Some((name.to_owned(), version.trim().to_owned()))
        });
        Self {
            entries: entries.collect(),
        }
    }

    /// The version that a name stands for; a version stands for itself.
    pub(crate) fn resolve(&self, name: &str) -> Result<String> {
        if let Some((_, version)) = self.entries.iter().find(|(known, _)| known == name) {
            return Ok(version.clone());
        }
        if name
            .trim_start_matches('v')
            .starts_with(|first: char| first.is_ascii_digit())
        {
            return Ok(name.to_owned());
        }
        let known: Vec<_> = self.entries.iter().map(|(name, _)| name.as_str()).collect();
        bail!("{name} is neither a version nor one of {}", known.join(", "))
    }
}

/// The address of EtcdClusters for a client without their types, which sees them as a user does.
pub(crate) fn etcd_cluster_resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("etcd.etcd.io", "v1alpha1", "EtcdCluster");
    ApiResource::from_gvk_with_plural(&kind, "etcdclusters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_the_version_that_the_bed_has() {
        let versions = Versions::parse("pinned v3.5.21\nnewest-3.6   v3.6.16\n");
        assert_eq!(versions.resolve("newest-3.6").unwrap(), "v3.6.16");
        assert_eq!(versions.resolve("3.5.30").unwrap(), "3.5.30");
        assert!(versions.resolve("newest").is_err());
    }
}
