//! The ownership of objects that have a name of the cluster: those of somebody else are
//! reported, and never touched. No client.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use muster_api::Reason;
use muster_api::cluster::EtcdCluster;

/// An object in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Blocked {
    /// The object belongs to somebody else, or to nobody.
    #[error("{kind} {name} exists and does not belong to this EtcdCluster; {advice}")]
    Foreign {
        kind: &'static str,
        name: String,
        /// The way out, for a person.
        advice: &'static str,
    },
    /// The object is being deleted, or the earlier EtcdCluster of this name
    /// that it belonged to was deleted.
    #[error("{kind} {name} is still being deleted; work goes on when it is gone")]
    Predecessor { kind: &'static str, name: String },
}

impl Blocked {
    /// The reason in a condition.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Foreign { .. } => Reason::ForeignObject,
            Self::Predecessor { .. } => Reason::WaitingForDeletion,
        }
    }
}

/// Refuses an object that the EtcdCluster of that UID does not control.
///
/// # Errors
/// The object belongs to somebody else, or is being deleted.
pub(crate) fn check(kind: &'static str, metadata: &ObjectMeta, owner_uid: &str) -> Result<(), Blocked> {
    let name = metadata.name.clone().unwrap_or_default();
    let controller = metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true));
    match controller {
        Some(owner) if owner.uid == owner_uid && metadata.deletion_timestamp.is_none() => Ok(()),
        // Other operators have a kind of that name, too, in groups of their own.
        Some(owner) if is_etcd_cluster(owner) => Err(Blocked::Predecessor { kind, name }),
        Some(_) => Err(Blocked::Foreign {
            kind,
            name,
            advice: "give the EtcdCluster another name",
        }),
        None if kind == "StatefulSet" => Err(Blocked::Foreign {
            kind,
            name,
            advice: "delete it with --cascade=orphan to have its pods taken over, or give the EtcdCluster another name",
        }),
        None => Err(Blocked::Foreign {
            kind,
            name,
            advice: "delete it, or give the EtcdCluster another name",
        }),
    }
}

fn is_etcd_cluster(owner: &OwnerReference) -> bool {
    let group = owner.api_version.split_once('/').map(|(group, _)| group);
    owner.kind == EtcdCluster::kind(&()) && group == Some(&EtcdCluster::group(&()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn owned_by(kind: &str, uid: &str) -> ObjectMeta {
        let owner = OwnerReference {
            api_version: EtcdCluster::api_version(&()).into_owned(),
            kind: kind.into(),
            uid: uid.into(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        ObjectMeta {
            name: Some("db".into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn an_object_that_the_cluster_controls_is_its_own() {
        assert_eq!(check("Service", &owned_by("EtcdCluster", "1"), "1"), Ok(()));
    }

    #[test]
    fn an_object_of_an_earlier_cluster_is_waited_for() {
        let blocked = check("Service", &owned_by("EtcdCluster", "0"), "1");
        assert_eq!(
            blocked,
            Err(Blocked::Predecessor {
                kind: "Service",
                name: "db".into()
            })
        );
    }

    #[test]
    fn an_etcd_cluster_of_another_operator_is_somebody_else() {
        let mut metadata = owned_by("EtcdCluster", "0");
        for owner in metadata.owner_references.iter_mut().flatten() {
            owner.api_version = "operator.example.com/v1alpha1".into();
        }
        assert!(matches!(check("Service", &metadata, "1"), Err(Blocked::Foreign { .. })));
    }

    #[test]
    fn an_object_that_is_being_deleted_is_waited_for() {
        let deleted = Some(Time(Timestamp::UNIX_EPOCH));
        let metadata = ObjectMeta {
            deletion_timestamp: deleted,
            ..owned_by("EtcdCluster", "1")
        };
        assert!(matches!(
            check("StatefulSet", &metadata, "1"),
            Err(Blocked::Predecessor { .. })
        ));
    }

    #[test]
    fn an_object_of_somebody_else_is_foreign() {
        for metadata in [owned_by("Helm", "1x"), ObjectMeta::default()] {
            assert!(matches!(check("Service", &metadata, "1"), Err(Blocked::Foreign { .. })));
        }
    }

    #[test]
    fn a_stateful_set_without_owner_comes_with_the_way_to_take_it_over() {
        let blocked = check("StatefulSet", &ObjectMeta::default(), "1").unwrap_err();
        assert!(blocked.to_string().contains("--cascade=orphan"));
    }
}
