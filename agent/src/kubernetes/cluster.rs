//! The EtcdCluster, as agents read it: the few fields of the status that agents decide by.
//!
//! Nothing else is decoded. A spec with a word of a later release keeps no agent from reading the cluster's ID, and no
//! write of the status from counting as done: the answer to a write is the whole object.

use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client, ResourceExt};
use muster_api::cluster::EtcdCluster;
use muster_api::status::{MemberStatus, Role};
use muster_api::{HexId, Names};
use muster_membership::{ClusterId, Member, MemberId, MemberList, Published, Seat};
use serde::de::{DeserializeOwned, Error};

/// The EtcdClusters of a namespace, not decoded.
pub(super) fn api(client: Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client, namespace, &ApiResource::erase::<EtcdCluster>(&()))
}

/// The ID of the etcd cluster in the status, if one is published.
///
/// # Errors
/// The field is no ID.
pub(super) fn id(cluster: &DynamicObject) -> Result<Option<ClusterId>, kube::Error> {
    let id: Option<HexId> = field(cluster, "clusterID")?;
    Ok(id.map(|id| ClusterId(id.0)))
}

/// The members in the status, as the core compares them. A role of a later release is not a learner's.
///
/// # Errors
/// The cluster's ID, the leader or a member cannot be decoded.
pub(super) fn published(cluster: &DynamicObject, names: &Names) -> Result<Published, kube::Error> {
    let members: Vec<MemberStatus> = field(cluster, "members")?;
    let members = members.into_iter().map(|m| {
        let member = Member {
            seat: names.seat_of_peer_url(&m.peer_url).map(Seat),
            name: m.name,
            peer_urls: vec![m.peer_url],
            learner: m.role == Role::Learner,
        };
        (MemberId(m.id.0), member)
    });
    let members = members.collect();
    Ok(Published {
        version: cluster.resource_version().unwrap_or_default(),
        leader: field(cluster, "leader")?,
        list: id(cluster)?.map(|cluster| MemberList { cluster, members }),
    })
}

/// A field of the status; the default value if there is none.
fn field<T: DeserializeOwned + Default>(cluster: &DynamicObject, name: &str) -> Result<T, kube::Error> {
    let value = &cluster.data["status"][name];
    if value.is_null() {
        return Ok(T::default());
    }
    let named = |error| kube::Error::SerdeError(Error::custom(format!("status.{name}: {error}")));
    T::deserialize(value).map_err(named)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kubernetes::LeaderView;
    use crate::kubernetes::mock_api::config;

    fn stored(status: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "etcd.etcd.io/v1alpha1", "kind": "EtcdCluster", "metadata": {"name": "c", "resourceVersion": "7"},
            "spec": {"size": 1}, "status": status,
        }))
        .unwrap()
    }

    fn members() -> MemberList {
        MemberList {
            cluster: ClusterId(1),
            members: [(
                MemberId(2),
                Member {
                    seat: Some(Seat(1)),
                    name: "c-1".into(),
                    peer_urls: vec!["http://c-1.c-peer.ns.svc.cluster.local:2380".into()],
                    learner: true,
                },
            )]
            .into(),
        }
    }

    /// The status in which the agent of `c-0` has published [`members`].
    fn status() -> Value {
        let view = LeaderView::new(&members(), "c-0".into());
        json!({ "clusterID": view.cluster_id, "leader": view.leader, "members": view.members })
    }

    #[test]
    fn the_published_members_are_read_as_the_core_compares_them() {
        let names = config().names();
        for nothing in [json!({}), Value::Null] {
            let empty = published(&stored(nothing), &names).unwrap();
            assert_eq!((empty.version.as_str(), empty.leader, empty.list), ("7", None, None));
        }
        let read = published(&stored(status()), &names).unwrap();
        assert_eq!((read.leader.as_deref(), read.list), (Some("c-0"), Some(members())));
    }

    #[test]
    fn what_a_later_release_adds_anywhere_in_an_etcd_cluster_hides_nothing() {
        let later: [(&str, Value); 9] = [
            ("/spec/storage", json!({ "retention": "Snapshot" })),
            ("/spec/size", json!("as many as needed")),
            ("/spec/rotation", json!({ "every": "1h" })),
            ("/status/summary", json!({ "word": "Ready" })),
            ("/status/backup", json!({ "last": 7 })),
            ("/status/conditions", json!([{ "type": "Tired" }])),
            ("/status/seats", json!([{ "name": "c-0", "phase": 7 }])),
            ("/status/members/0/role", json!("Witness")),
            ("/status/members/0/weight", json!(2)),
        ];
        for (path, value) in later {
            let mut cluster = stored(status());
            let (parent, key) = path.rsplit_once('/').unwrap();
            cluster.data.pointer_mut(parent).unwrap()[key] = value;
            let mut expected = members();
            // A learner no longer, as far as this release can tell.
            expected.members.get_mut(&MemberId(2)).unwrap().learner = !path.ends_with("role");
            assert_eq!(id(&cluster).unwrap(), Some(ClusterId(1)), "{path}");
            let read = published(&cluster, &config().names()).unwrap();
            assert_eq!(
                (read.leader.as_deref(), read.list),
                (Some("c-0"), Some(expected)),
                "{path}"
            );
        }
    }

    #[test]
    fn a_field_that_is_needed_and_cannot_be_read_is_named() {
        for (name, value) in [
            ("clusterID", json!("not an ID")),
            ("leader", json!(5)),
            ("members", json!({})),
        ] {
            let error = published(&stored(json!({ name: value })), &config().names()).unwrap_err();
            assert!(error.to_string().contains(&format!("status.{name}: ")), "{error}");
        }
    }
}
