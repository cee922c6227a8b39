//! The volume claims of a cluster, by their metadata. Client required for [`read`].

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::api::ListParams;
use kube::{Api, Client};
use muster_api::id::HexId;
use muster_api::names::{CLAIM_CLUSTER, Names};

use super::PodView;
use crate::error::ReconcileError;

/// The annotation that the volume controller writes once a claim is bound to a volume.
const BOUND: &str = "pv.kubernetes.io/bind-completed";

/// A volume claim of the cluster's name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ClaimView {
    pub(crate) name: String,
    pub(crate) seat: u32,
    pub(crate) uid: String,
    pub(crate) resource_version: Option<String>,
    pub(crate) created: Option<Time>,
    pub(crate) owners: Vec<OwnerReference>,
    /// True if it has the labels that the StatefulSet gives to the claims that it makes.
    pub(crate) labelled: bool,
    /// True if it is bound to a volume: the scheduler does not write to it any more.
    pub(crate) bound: bool,
    /// True if it is being deleted.
    pub(crate) deleted: bool,
    /// The etcd cluster that used it last, as the operator noted it.
    pub(crate) used_by: Option<HexId>,
}

impl ClaimView {
    /// A view of a claim; none if its name is not that of a seat's claim.
    fn of(names: &Names, metadata: &ObjectMeta) -> Option<Self> {
        let name = metadata.name.clone()?;
        let annotation = |key: &str| metadata.annotations.as_ref()?.get(key);
        let labels = metadata.labels.clone().unwrap_or_default();
        Some(Self {
            seat: names.seat_of_claim(&name)?,
            uid: metadata.uid.clone()?,
            resource_version: metadata.resource_version.clone(),
            created: metadata.creation_timestamp.clone(),
            owners: metadata.owner_references.clone().unwrap_or_default(),
            labelled: names
                .selector()
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value)),
            bound: annotation(BOUND).is_some(),
            deleted: metadata.deletion_timestamp.is_some(),
            used_by: annotation(CLAIM_CLUSTER).and_then(|text| text.parse().ok()),
            name,
        })
    }

    /// True if it is being deleted, or may be together with an owner other than the EtcdCluster of that UID.
    pub(crate) fn going(&self, owner_uid: &str) -> bool {
        self.deleted || self.owners.iter().any(|owner| owner.uid != owner_uid)
    }
}

/// Reads the claims: with `all`, those of the cluster's name in the whole namespace, since claims of an older cluster
/// may carry other labels; otherwise those with the cluster's labels, and those of its ready pods.
///
/// # Errors
/// A request failed.
pub(super) async fn read(
    client: &Client,
    namespace: &str,
    names: &Names,
    pods: &[PodView],
    all: bool,
) -> Result<Vec<ClaimView>, ReconcileError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let scope = if all {
        ListParams::default()
    } else {
        ListParams::default().labels(&names.selector_text())
    };
    let listed = api.list_metadata(&scope).await;
    let listed = listed.map_err(ReconcileError::reading("volume claims"))?;
    let view = |metadata: &ObjectMeta| ClaimView::of(names, metadata);
    let mut claims: Vec<ClaimView> = listed.items.iter().filter_map(|claim| view(&claim.metadata)).collect();
    if !all {
        let unseen = |pod: &&PodView| pod.ready && !claims.iter().any(|claim| claim.seat == pod.seat);
        let wanted: Vec<String> = pods.iter().filter(unseen).map(|pod| names.claim(pod.seat)).collect();
        let found = try_join_all(wanted.iter().map(|name| api.get_metadata_opt(name))).await;
        let found = found.map_err(ReconcileError::reading("volume claims"))?;
        claims.extend(found.iter().flatten().filter_map(|claim| view(&claim.metadata)));
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view(metadata: serde_json::Value) -> Option<ClaimView> {
        ClaimView::of(&Names::new("db"), &serde_json::from_value(metadata).unwrap())
    }

    #[test]
    fn a_claim_tells_its_seat_its_volume_and_the_cluster_that_used_it() {
        let claim = view(json!({
            "name": "data-db-2", "uid": "c",
            "labels": { "app.kubernetes.io/name": "etcd", "app.kubernetes.io/instance": "db" },
            "annotations": { BOUND: "yes", CLAIM_CLUSTER: "00000000000000ab" },
        }));
        let claim = claim.unwrap();
        assert_eq!((claim.seat, claim.labelled, claim.bound), (2, true, true));
        assert_eq!(claim.used_by, Some(HexId(0xab)));
    }

    #[test]
    fn a_claim_of_somebody_else_has_no_labels_and_no_mark() {
        let claim = view(json!({ "name": "data-db-2", "uid": "c", "labels": { "app": "shop" } })).unwrap();
        assert!(!claim.labelled && !claim.bound && claim.used_by.is_none());
        assert_eq!(view(json!({ "name": "data-other-2", "uid": "c" })), None);
    }

    #[test]
    fn a_claim_goes_with_every_owner_but_the_etcd_cluster_itself() {
        let owned = |uid: &str| {
            view(json!({ "name": "data-db-0", "uid": "c",
                "ownerReferences": [{ "apiVersion": "a/v1", "kind": "K", "name": "n", "uid": uid }] }))
            .unwrap()
        };
        assert!(!owned("mine").going("mine"));
        assert!(owned("another").going("mine"));
    }
}
