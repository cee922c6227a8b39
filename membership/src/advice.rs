//! Advice to people: the sentences that name a command, a file, or an entry to write.
//!
//! Decisions never depend on them. They are the one place of the core that knows `kubectl`, and what a
//! cluster's objects are called.

use crate::ids::ClusterId;
use crate::observed::Me;

/// The beginning of a command that a person can give, with the namespace that the peer URL names.
fn kubectl(me: &Me) -> String {
    let host = me.peer_url.split("://").nth(1).and_then(|rest| rest.split(':').next());
    match host.and_then(|host| host.split('.').nth(2)) {
        Some(namespace) => format!("kubectl --namespace {namespace}"),
        None => "kubectl".into(),
    }
}

/// The command that gives a lost cluster up, so that its seats found an empty one.
pub(crate) fn start_over(me: &Me, cluster: ClusterId) -> String {
    format!(
        "to start over with an empty store: {} patch configmap {}-birth --type merge -p '{{\"data\":{{\"abandoned\":\"{cluster}\"}}}}'",
        kubectl(me),
        me.cluster_name(),
    )
}

/// The command that says that data without a name is this cluster's.
pub(crate) fn adopt(me: &Me, cluster: ClusterId) -> String {
    format!(
        "if this is no copy, but the cluster itself: {} patch configmap {}-birth --type merge -p '{{\"data\":{{\"phase\":\"formed\",\"clusterID\":\"{cluster}\"}}}}'",
        kubectl(me),
        me.cluster_name(),
    )
}

/// The two ways out when something knows of an older cluster and the birth record does not.
pub(crate) fn restore_or_give_up(cluster: ClusterId) -> String {
    format!("restore the record, or give the old cluster up by setting abandoned={cluster} in it")
}

/// The two ways out of a record that is claimed and names no cluster.
pub(crate) fn complete_the_record() -> &'static str {
    "restore its clusterID, or set phase to unclaimed if the cluster never was"
}

/// The command that brings back enough pods for a quorum.
pub(crate) fn scale_up(me: &Me, replicas: u32) -> String {
    format!(
        "where no operator brings them back, do it: {} scale statefulset {} --replicas={replicas}",
        kubectl(me),
        me.cluster_name()
    )
}

/// The command that saves the data of a seat whose etcd still answers serializable reads.
pub(crate) fn save_the_data(me: &Me) -> String {
    format!(
        "save this seat's data before anything else: {} exec {} -c etcd -- etcdctl snapshot save /var/lib/etcd/rescue.db",
        kubectl(me),
        me.name
    )
}

/// The volume to keep of a seat whose etcd answers nothing, and what can be made of it.
pub(crate) fn keep_the_volume(me: &Me) -> String {
    format!(
        "keep the volume of {}, which may be the last copy: etcdutl snapshot restore --skip-hash-check takes its data/member/snap/db",
        me.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Seat;

    #[test]
    fn a_command_names_the_cluster_and_its_namespace() {
        let me = |peer_url: &str| Me {
            seat: Seat(12),
            name: "my-db-12".into(),
            peer_url: peer_url.into(),
            volume: String::new(),
        };
        let full = me("http://my-db-12.my-db-peer.prod.svc.cluster.local:2380");
        assert_eq!(
            (full.cluster_name(), kubectl(&full).as_str()),
            ("my-db", "kubectl --namespace prod")
        );
        assert_eq!(kubectl(&me("http://my-db-12.my-db-peer:2380")), "kubectl");
    }
}
