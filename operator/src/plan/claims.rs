//! The marks of the cluster's volume claims: the etcd cluster that uses a claim, and the EtcdCluster as its owner while
//! `storage.retention` is `Delete`. No client.
//!
//! A claim is the cluster's by use, not by name. It counts as used when its seat has a pod, and either the pod is ready
//! or the cluster's own StatefulSet made the claim. What somebody else left under the name stays unmarked until a
//! member serves from it, and nothing deletes it.
//!
//! The StatefulSet never owns a claim: its deletion would delete the data, and its controller's write of the owner
//! collides with the scheduler's choice of a node for the volume. The operator writes to bound claims only, after that
//! choice.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use muster_api::cluster::Retention;
use muster_api::id::HexId;

use crate::dereference::{ClaimView, ObservedCluster};
use crate::validate::ValidatedCluster;

/// A change of a claim's metadata.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClaimUpdate {
    pub(crate) name: String,
    /// The resource version that the change was decided on.
    pub(crate) resource_version: Option<String>,
    /// All owners that the claim is to have.
    pub(crate) owners: Vec<OwnerReference>,
    /// The etcd cluster that uses it, if that is to be noted.
    pub(crate) used_by: Option<HexId>,
    /// The labels that it lacks.
    pub(crate) labels: BTreeMap<String, String>,
}

/// Plans the changes of the claims' metadata. `cluster_id` is the etcd cluster's ID, once agents have published it.
pub(crate) fn plan(
    cluster: &ValidatedCluster,
    observed: &ObservedCluster,
    cluster_id: Option<HexId>,
) -> Vec<ClaimUpdate> {
    let marks = Marks {
        cluster,
        observed,
        cluster_id,
    };
    let claims = observed.claims.iter().filter(|claim| claim.bound && !claim.deleted);
    claims.filter_map(|claim| marks.update(claim)).collect()
}

struct Marks<'a> {
    cluster: &'a ValidatedCluster,
    observed: &'a ObservedCluster,
    cluster_id: Option<HexId>,
}

impl Marks<'_> {
    /// The change that a bound claim needs, if any.
    fn update(&self, claim: &ClaimView) -> Option<ClaimUpdate> {
        let used = self.is_in_use(claim) || claim.owners.iter().any(|owner| self.is_set(owner));
        let ours = used
            || claim.owners.iter().any(|owner| self.is_cluster(owner))
            || (self.cluster_id.is_some() && claim.used_by == self.cluster_id);
        let owners = self.owners(claim, ours);
        let mark = self.cluster_id.filter(|id| used && claim.used_by != Some(*id));
        let labels = if used && !claim.labelled {
            self.cluster.names.selector()
        } else {
            BTreeMap::new()
        };
        let changed = owners != claim.owners || mark.is_some() || !labels.is_empty();
        changed.then(|| ClaimUpdate {
            name: claim.name.clone(),
            resource_version: claim.resource_version.clone(),
            owners,
            used_by: mark,
            labels,
        })
    }

    /// True if a pod of the cluster uses the claim, and the name is no accident.
    fn is_in_use(&self, claim: &ClaimView) -> bool {
        let set = self.observed.set.as_ref();
        let pod = self.observed.pods.iter().find(|pod| pod.seat == claim.seat);
        pod.is_some_and(|pod| pod.ready || set.is_some_and(|set| was_made_by(set, claim)))
    }

    /// The owners that a claim is to have. Those of others stay.
    fn owners(&self, claim: &ClaimView, ours: bool) -> Vec<OwnerReference> {
        let ends_with_cluster = self.cluster.when_deleted == Retention::Delete && ours;
        let kept = |owner: &&OwnerReference| !self.is_set(owner) && (ends_with_cluster || !self.is_cluster(owner));
        let mut owners: Vec<OwnerReference> = claim.owners.iter().filter(kept).cloned().collect();
        if ends_with_cluster && !owners.iter().any(|owner| self.is_cluster(owner)) {
            owners.extend(self.cluster.owner.clone().map(|owner| OwnerReference {
                controller: None,
                ..owner
            }));
        }
        owners
    }

    fn is_cluster(&self, owner: &OwnerReference) -> bool {
        owner.uid == self.cluster.owner_uid()
    }

    /// True of the StatefulSet, or an earlier one of its name: releases that let it own the claims left its reference.
    fn is_set(&self, owner: &OwnerReference) -> bool {
        owner.kind == "StatefulSet" && owner.name == self.cluster.names.stateful_set()
    }
}

/// True if the StatefulSet made the claim. No other StatefulSet of its name can have been there at that time.
fn was_made_by(set: &StatefulSet, claim: &ClaimView) -> bool {
    let (set, claimed) = (&set.metadata.creation_timestamp, &claim.created);
    let later = set
        .as_ref()
        .zip(claimed.as_ref())
        .is_some_and(|(set, claim)| set <= claim);
    claim.labelled && later
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use muster_api::cluster::{EtcdCluster, EtcdClusterSpec};

    use super::*;
    use crate::dereference::PodView;

    const ID: Option<HexId> = Some(HexId(7));

    fn at(second: i64) -> Option<Time> {
        Some(Time(Timestamp::from_second(second).unwrap()))
    }

    fn reference(kind: &str, uid: &str) -> OwnerReference {
        OwnerReference {
            api_version: "apps/v1".into(),
            kind: kind.into(),
            name: "db".into(),
            uid: uid.into(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    fn valid(retention: Retention) -> ValidatedCluster {
        let mut spec = EtcdClusterSpec::of_size(1);
        spec.storage.retention = retention;
        ValidatedCluster {
            owner: Some(reference("EtcdCluster", "cluster")),
            ..crate::validate::spec("db", &spec).unwrap()
        }
    }

    /// The claim of seat 0, bound, as the StatefulSet made it at second 10.
    fn claim() -> ClaimView {
        ClaimView {
            name: "data-db-0".into(),
            resource_version: Some("5".into()),
            created: at(10),
            labelled: true,
            bound: true,
            ..ClaimView::default()
        }
    }

    fn pod(ready: bool) -> Vec<PodView> {
        vec![PodView {
            name: "db-0".into(),
            ready,
            ..PodView::default()
        }]
    }

    /// A cluster whose StatefulSet is of second 10.
    fn observed(claim: ClaimView, pods: Vec<PodView>) -> ObservedCluster {
        let mut set = StatefulSet::default();
        set.metadata.creation_timestamp = at(10);
        ObservedCluster {
            cluster: EtcdCluster::new("db", EtcdClusterSpec::of_size(1)),
            set: Some(set),
            record: None,
            pods,
            claims: vec![claim],
            revision: None,
            obstacles: Default::default(),
        }
    }

    fn owners(retention: Retention, observed: &ObservedCluster) -> Option<Vec<String>> {
        let update = plan(&valid(retention), observed, ID).pop()?;
        Some(update.owners.into_iter().map(|owner| owner.uid).collect())
    }

    #[test]
    fn a_claim_that_a_pod_uses_is_marked_and_with_delete_owned_by_the_etcd_cluster() {
        let running = observed(claim(), pod(false));
        let update = plan(&valid(Retention::Retain), &running, ID).pop().unwrap();
        assert_eq!((update.used_by, update.owners), (ID, vec![]));
        let update = plan(&valid(Retention::Delete), &running, ID).pop().unwrap();
        assert_eq!(update.used_by, ID);
        assert_eq!(update.resource_version.as_deref(), Some("5"));
        let [owner] = update.owners.as_slice() else {
            panic!("{:?}", update.owners)
        };
        // A controller would be in the way of others that manage the claim.
        assert_eq!((owner.uid.as_str(), owner.controller), ("cluster", None));
    }

    #[test]
    fn a_claim_whose_volume_is_not_there_yet_is_the_schedulers() {
        let unbound = ClaimView {
            bound: false,
            ..claim()
        };
        assert_eq!(owners(Retention::Delete, &observed(unbound.clone(), pod(true))), None);
        let given_away = ClaimView {
            owners: vec![reference("StatefulSet", "set")],
            ..unbound
        };
        assert_eq!(owners(Retention::Delete, &observed(given_away, vec![])), None);
        assert_eq!(owners(Retention::Delete, &observed(claim(), vec![])), None);
    }

    #[test]
    fn a_claim_of_somebody_else_is_nobodys_until_a_member_serves_from_it() {
        let earlier = ClaimView {
            created: at(9),
            ..claim()
        };
        let unlabelled = ClaimView {
            labelled: false,
            ..claim()
        };
        for claim in [earlier, unlabelled.clone()] {
            assert_eq!(owners(Retention::Delete, &observed(claim.clone(), vec![])), None);
            assert_eq!(owners(Retention::Delete, &observed(claim.clone(), pod(false))), None);
            let serving = observed(claim, pod(true));
            assert_eq!(owners(Retention::Delete, &serving), Some(vec!["cluster".into()]));
        }
        let update = plan(&valid(Retention::Retain), &observed(unlabelled, pod(true)), ID);
        assert_eq!(update[0].labels, valid(Retention::Retain).names.selector());
    }

    #[test]
    fn what_was_written_is_not_written_again() {
        for retention in [Retention::Retain, Retention::Delete] {
            let before = observed(claim(), pod(true));
            let update = plan(&valid(retention), &before, ID).pop().unwrap();
            let after = ClaimView {
                owners: update.owners,
                used_by: update.used_by,
                ..claim()
            };
            assert_eq!(owners(retention, &observed(after, pod(true))), None);
        }
    }

    #[test]
    fn a_hibernating_cluster_gets_and_gives_back_its_claims_too() {
        let used = ClaimView { used_by: ID, ..claim() };
        let asleep = observed(used.clone(), vec![]);
        assert_eq!(owners(Retention::Delete, &asleep), Some(vec!["cluster".into()]));
        let owned = ClaimView {
            owners: vec![reference("EtcdCluster", "cluster")],
            ..used
        };
        assert_eq!(owners(Retention::Retain, &observed(owned, vec![])), Some(vec![]));
    }

    #[test]
    fn a_claim_of_an_earlier_etcd_cluster_stays_unowned() {
        let older = ClaimView {
            used_by: Some(HexId(6)),
            ..claim()
        };
        assert_eq!(owners(Retention::Delete, &observed(older, vec![])), None);
    }

    #[test]
    fn the_stateful_set_of_an_earlier_release_owns_a_claim_no_more() {
        for set in ["set", "a set that was deleted"] {
            let claim = ClaimView {
                owners: vec![reference("StatefulSet", set), reference("Backup", "other")],
                ..claim()
            };
            let asleep = observed(claim, vec![]);
            assert_eq!(owners(Retention::Retain, &asleep), Some(vec!["other".into()]));
            let kept = owners(Retention::Delete, &asleep).unwrap();
            assert_eq!(kept, ["other", "cluster"]);
        }
    }
}
