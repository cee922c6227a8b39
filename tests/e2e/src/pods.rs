//! Pods, as far as the scenarios look at them.

use k8s_openapi::api::core::v1::Pod;

/// A pod at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodView {
    /// Its name, which is its seat's.
    pub(crate) name: String,
    pub(crate) uid: String,
    /// Its address, once it has one.
    pub(crate) ip: Option<String>,
    /// The node it was given.
    pub(crate) node: Option<String>,
    /// True if the Ready condition is.
    pub(crate) ready: bool,
    /// True if it is being deleted.
    pub(crate) terminating: bool,
    /// Container starts beyond the first, by container.
    pub(crate) restarts: Vec<(String, i32)>,
}

impl PodView {
    /// Reads what matters out of a pod.
    pub(crate) fn of(pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        let conditions = status
            .and_then(|status| status.conditions.as_deref())
            .unwrap_or_default();
        let containers = |list: Option<&Vec<k8s_openapi::api::core::v1::ContainerStatus>>| {
            list.into_iter()
                .flatten()
                .map(|one| (one.name.clone(), one.restart_count))
                .collect::<Vec<_>>()
        };
        let mut restarts = containers(status.and_then(|status| status.init_container_statuses.as_ref()));
        restarts.extend(containers(status.and_then(|status| status.container_statuses.as_ref())));
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            ip: status
                .and_then(|status| status.pod_ip.clone())
                .filter(|ip| !ip.is_empty()),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            ready: conditions
                .iter()
                .any(|one| one.type_ == "Ready" && one.status == "True"),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            restarts,
        }
    }

    /// The address at which etcd answers clients.
    pub(crate) fn client_address(&self) -> Option<String> {
        self.ip.as_ref().map(|ip| format!("{ip}:2379"))
    }

    /// The ordinal at the end of the name.
    pub(crate) fn seat(&self) -> Option<u32> {
        self.name.rsplit('-').next().and_then(|ordinal| ordinal.parse().ok())
    }

    /// The number of a container's restarts.
    pub(crate) fn restarts_of(&self, container: &str) -> i32 {
        self.restarts
            .iter()
            .find(|(name, _)| name == container)
            .map_or(0, |(_, count)| *count)
    }
}
