//! Names, labels, ports and addresses of the objects that make up a cluster.

use std::collections::BTreeMap;
use std::fmt;

/// The API group of everything that Muster defines.
pub const GROUP: &str = "etcd.etcd.io";

/// The operator's field manager.
pub const OPERATOR_MANAGER: &str = "muster-operator";
/// The field manager with which the leader's agent publishes membership.
pub const LEADER_MANAGER: &str = "muster-leader";

/// etcd's client port.
pub const CLIENT_PORT: u16 = 2379;
/// etcd's peer port.
pub const PEER_PORT: u16 = 2380;
/// etcd's plaintext port for metrics and health.
pub const METRICS_PORT: u16 = 2381;
/// The agent's HTTP port.
pub const AGENT_PORT: u16 = 2382;

/// The template name of the volume claim that holds a seat's data.
pub const CLAIM_TEMPLATE: &str = "data";

/// Annotation of a volume claim: the ID of the etcd cluster that used it last.
pub const CLAIM_CLUSTER: &str = "etcd.etcd.io/cluster-id";

/// The longest cluster name whose pods and labels are valid: the label
/// `controller-revision-hash` is the name plus eleven characters, of 63.
pub const MAX_NAME_LENGTH: usize = 52;

/// Names the objects that belong to one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Names {
    cluster: String,
}

impl Names {
    /// Names for the cluster called `cluster`.
    pub fn new(cluster: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
        }
    }

    /// The cluster's own name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The StatefulSet.
    pub fn stateful_set(&self) -> &str {
        &self.cluster
    }

    /// The Service that clients use.
    pub fn client_service(&self) -> &str {
        &self.cluster
    }

    /// The PodDisruptionBudget.
    pub fn disruption_budget(&self) -> &str {
        &self.cluster
    }

    /// The headless Service that gives each pod its name.
    pub fn peer_service(&self) -> String {
        format!("{}-peer", self.cluster)
    }

    /// The ConfigMap that holds the birth record.
    pub fn birth_record(&self) -> String {
        format!("{}-birth", self.cluster)
    }

    /// The agents' ServiceAccount, Role and RoleBinding.
    pub fn agent_account(&self) -> String {
        format!("{}-agent", self.cluster)
    }

    /// The pod of a seat, which is also the name of its etcd member.
    pub fn pod(&self, seat: u32) -> String {
        format!("{}-{seat}", self.cluster)
    }

    /// The volume claim of a seat.
    pub fn claim(&self, seat: u32) -> String {
        format!("{CLAIM_TEMPLATE}-{}-{seat}", self.cluster)
    }

    /// The field manager with which a seat's agent publishes its own status.
    pub fn agent_manager(&self, seat: u32) -> String {
        agent_manager(&self.pod(seat))
    }

    /// The host name under which peers reach a seat.
    pub fn peer_host(&self, seat: u32, namespace: &str, domain: &str) -> String {
        format!("{}.{}.{namespace}.svc.{domain}", self.pod(seat), self.peer_service())
    }

    /// The peer URL of a seat.
    pub fn peer_url(&self, scheme: &str, seat: u32, namespace: &str, domain: &str) -> String {
        format!("{scheme}://{}:{PEER_PORT}", self.peer_host(seat, namespace, domain))
    }

    /// The seat of a pod of this cluster.
    pub fn seat_of_pod(&self, pod: &str) -> Option<u32> {
        seat_suffix(pod, &self.cluster)
    }

    /// The seat of a volume claim of this cluster.
    pub fn seat_of_claim(&self, claim: &str) -> Option<u32> {
        self.seat_of_pod(claim.strip_prefix(CLAIM_TEMPLATE)?.strip_prefix('-')?)
    }

    /// The seat that a peer URL belongs to. Only the first two labels of the
    /// host count: scheme, namespace suffix and port may change during a
    /// cluster's life.
    pub fn seat_of_peer_url(&self, url: &str) -> Option<u32> {
        let (_, rest) = url.split_once("://")?;
        let host = rest.split(['/', ':']).next()?;
        let mut labels = host.split('.');
        let seat = self.seat_of_pod(labels.next()?)?;
        (labels.next()? == self.peer_service()).then_some(seat)
    }

    /// The two labels that select this cluster's pods. They never change.
    pub fn selector(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("app.kubernetes.io/name".to_owned(), "etcd".to_owned()),
            ("app.kubernetes.io/instance".to_owned(), self.cluster.clone()),
        ])
    }

    /// [`Self::selector`] as a label selector's text.
    pub fn selector_text(&self) -> String {
        let pairs: Vec<_> = self.selector().iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join(",")
    }

    /// The labels of every object of this cluster.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        labels.insert("app.kubernetes.io/managed-by".to_owned(), "muster".to_owned());
        labels
    }

    /// The labels of this cluster's pods.
    pub fn pod_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.insert("app.kubernetes.io/component".to_owned(), "member".to_owned());
        labels
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cluster)
    }
}

/// The field manager with which the agent in `pod` publishes its own status.
pub fn agent_manager(pod: &str) -> String {
    format!("muster-agent-{pod}")
}

/// The number in `{prefix}-{number}`, written as Kubernetes writes ordinals.
fn seat_suffix(text: &str, prefix: &str) -> Option<u32> {
    let digits = text.strip_prefix(prefix)?.strip_prefix('-')?;
    let seat: u32 = digits.parse().ok()?;
    (seat.to_string() == digits).then_some(seat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_name_names_its_seat() {
        let names = Names::new("db-1");
        assert_eq!(names.seat_of_pod("db-1-0"), Some(0));
        assert_eq!(names.seat_of_pod("db-1-12"), Some(12));
        for other in [
            "db-1", "db-1-", "db-1-01", "db-1-+1", "db-1-x", "db-0", "xdb-1-0", "db-1-0-0",
        ] {
            assert_eq!(names.seat_of_pod(other), None, "{other}");
        }
    }

    #[test]
    fn a_claim_name_names_its_seat() {
        let names = Names::new("db");
        assert_eq!(names.claim(4), "data-db-4");
        assert_eq!(names.seat_of_claim("data-db-4"), Some(4));
        assert_eq!(names.seat_of_claim("data-db-peer-4"), None);
        assert_eq!(names.seat_of_claim("db-4"), None);
    }

    #[test]
    fn a_peer_url_names_its_seat_by_its_first_two_labels() {
        let names = Names::new("db");
        let url = names.peer_url("http", 2, "prod", "cluster.local");
        assert_eq!(url, "http://db-2.db-peer.prod.svc.cluster.local:2380");
        assert_eq!(names.seat_of_peer_url(&url), Some(2));
        assert_eq!(
            names.seat_of_peer_url("https://db-2.db-peer.prod.svc.other.domain:2380"),
            Some(2)
        );
        assert_eq!(names.seat_of_peer_url("http://db-2.db-peer:2380"), Some(2));
    }

    #[test]
    fn a_foreign_peer_url_has_no_seat() {
        let names = Names::new("db");
        for url in [
            "http://db-2.other-peer.prod.svc.cluster.local:2380",
            "http://other-2.db-peer.prod.svc.cluster.local:2380",
            "http://10.0.0.1:2380",
            "http://db-2:2380",
            "db-2.db-peer",
            "",
        ] {
            assert_eq!(names.seat_of_peer_url(url), None, "{url}");
        }
    }

    #[test]
    fn the_selector_is_part_of_every_set_of_labels() {
        let names = Names::new("db");
        assert_eq!(
            names.selector_text(),
            "app.kubernetes.io/instance=db,app.kubernetes.io/name=etcd"
        );
        for labels in [names.labels(), names.pod_labels()] {
            assert!(names.selector().iter().all(|(k, v)| labels.get(k) == Some(v)));
        }
    }
}
