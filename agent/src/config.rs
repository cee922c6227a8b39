//! Settings of the agent, from its container's environment.

use std::net::IpAddr;

use clap::Args;
use muster_api::names::Names;

use crate::volume::Home;

/// The agent's settings; the pod template gives them as environment variables.
#[derive(Debug, Clone, Args)]
pub(crate) struct Config {
    /// The cluster's name, which is also the StatefulSet's.
    #[arg(long, env = "MUSTER_CLUSTER")]
    pub(crate) cluster: String,
    /// Name of this pod.
    #[arg(long, env = "POD_NAME")]
    pub(crate) pod: String,
    /// Namespace of this pod.
    #[arg(long, env = "POD_NAMESPACE")]
    pub(crate) namespace: String,
    /// UID of this pod.
    #[arg(long, env = "POD_UID")]
    pub(crate) pod_uid: String,
    /// First IP address of this pod.
    #[arg(long, env = "POD_IP")]
    pub(crate) pod_ip: IpAddr,
    /// All IP addresses of this pod, separated by commas; a pod template of an earlier release does not give them.
    #[arg(long, env = "POD_IPS", default_value = "")]
    pub(crate) pod_ips: String,
    /// The etcd image of this pod.
    #[arg(long, env = "MUSTER_ETCD_IMAGE", default_value = "")]
    pub(crate) etcd_image: String,
    /// Further etcd flags, as a JSON array of strings.
    #[arg(long, env = "MUSTER_ETCD_OPTIONS", default_value = "[]")]
    pub(crate) etcd_options: String,
    /// The cluster's DNS domain; read from the pod's resolver configuration if empty.
    #[arg(long, env = "MUSTER_DOMAIN", default_value = "")]
    pub(crate) domain: String,
    /// The root of the volume.
    #[arg(long, env = "MUSTER_VOLUME", default_value = crate::volume::DEFAULT_ROOT)]
    pub(crate) volume: std::path::PathBuf,
    /// The socket for the launcher.
    #[arg(long, env = "MUSTER_SOCKET", default_value = crate::socket::protocol::SOCKET)]
    pub(crate) socket: std::path::PathBuf,
}

impl Config {
    /// The names of the cluster's objects.
    pub(crate) fn names(&self) -> Names {
        Names::new(&self.cluster)
    }

    /// Every address of this pod, the first one first.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let others = self
            .pod_ips
            .split(',')
            .filter_map(|text| text.trim().parse::<IpAddr>().ok());
        let mut all = vec![self.pod_ip];
        all.extend(others.filter(|ip| *ip != self.pod_ip));
        all
    }

    /// The place of the cluster, as a volume notes it.
    pub(crate) fn home(&self) -> Home {
        Home {
            namespace: self.namespace.clone(),
            cluster: self.cluster.clone(),
        }
    }

    /// The data directory of etcd.
    pub(crate) fn data_dir(&self) -> std::path::PathBuf {
        self.volume.join("data")
    }

    /// This pod's seat.
    ///
    /// # Errors
    /// The pod's name is not one of this cluster's.
    pub(crate) fn seat(&self) -> anyhow::Result<u32> {
        self.names()
            .seat_of_pod(&self.pod)
            .ok_or_else(|| anyhow::anyhow!("POD_NAME {} is not a pod of MUSTER_CLUSTER {}", self.pod, self.cluster))
    }

    /// The further etcd flags.
    ///
    /// # Errors
    /// The setting is not a JSON array of strings.
    pub(crate) fn options(&self) -> anyhow::Result<Vec<String>> {
        serde_json::from_str(&self.etcd_options)
            .map_err(|e| anyhow::anyhow!("MUSTER_ETCD_OPTIONS must be a JSON array of strings: {e}"))
    }

    /// The cluster's DNS domain: the rest of the entry `{namespace}.svc.` in the resolver's search list.
    pub(crate) fn dns_domain(&self) -> String {
        if !self.domain.is_empty() {
            return self.domain.clone();
        }
        let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        search_domain(&text, &self.namespace)
            .unwrap_or("cluster.local")
            .to_owned()
    }
}

fn search_domain<'a>(resolv_conf: &'a str, namespace: &str) -> Option<&'a str> {
    let prefix = format!("{namespace}.svc.");
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("search"))
        .flat_map(str::split_whitespace)
        .find_map(|entry| entry.strip_prefix(prefix.as_str()))
        .map(|domain| domain.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_may_have_addresses_of_two_families_or_only_the_first_is_known() {
        let (v4, v6): (IpAddr, IpAddr) = ("10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap());
        let known = |pod_ips: &str| {
            let config = Config {
                pod_ip: v4,
                pod_ips: pod_ips.into(),
                ..crate::kubernetes::mock_api::config()
            };
            config.addresses()
        };
        assert_eq!(known("10.0.0.5,fd00::5"), [v4, v6]);
        assert_eq!(known("fd00:0::5, 10.0.0.5"), [v4, v6]);
        for first in ["10.0.0.5", "", "?"] {
            assert_eq!(known(first), [v4], "{first}");
        }
    }

    #[test]
    fn the_domain_is_read_from_the_search_list() {
        let text = "nameserver 10.96.0.10\nsearch prod.svc.my.domain svc.my.domain my.domain\noptions ndots:5\n";
        assert_eq!(search_domain(text, "prod"), Some("my.domain"));
        assert_eq!(search_domain(text, "other"), None);
    }
}
