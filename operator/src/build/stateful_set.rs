//! The StatefulSet: its annotations, its claim templates, and the comparison with the one that runs.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use muster_api::names::CLAIM_TEMPLATE;
use muster_api::workload::{ANNOTATIONS, APPLIED_REPLICAS, APPLIED_SIZE, POD_PLAN, SHRINK, VERSION};

use super::{metadata, selector};
use crate::plan::pod_template::Template;
use crate::plan::size::SizePlan;
use crate::validate::{ClaimPlan, ValidatedCluster};

/// True if a StatefulSet already says what another one would. Its template is
/// compared by what it was built from.
pub(crate) fn same(live: &StatefulSet, wanted: &StatefulSet) -> bool {
    let spec = |set: &StatefulSet| {
        let spec = set.spec.as_ref();
        spec.map(|spec| (spec.replicas, spec.persistent_volume_claim_retention_policy.clone()))
    };
    let annotation = |key: &&str| live.annotations().get(*key) == wanted.annotations().get(*key);
    spec(live) == spec(wanted) && ANNOTATIONS.iter().all(annotation)
}

pub(super) fn build(cluster: &ValidatedCluster, plan: &SizePlan, template: Template) -> StatefulSet {
    let mut metadata = metadata(cluster, cluster.names.stateful_set());
    if cluster.owner.is_some() {
        metadata.annotations = Some(annotations(plan, &template));
    }
    StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: Some(plan.replicas as i32),
            selector: selector(cluster),
            service_name: Some(cluster.names.peer_service()),
            // Members join in an order of their own.
            pod_management_policy: Some("Parallel".into()),
            // The built-in rolling update replaces a pod even while another is down.
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".into()),
                ..Default::default()
            }),
            persistent_volume_claim_retention_policy: cluster.claim.is_some().then(retention),
            volume_claim_templates: cluster.claim.as_ref().map(|claim| vec![claim_template(claim)]),
            template: template.pod,
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn annotations(plan: &SizePlan, template: &Template) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([
        (APPLIED_REPLICAS.to_owned(), plan.replicas.to_string()),
        (APPLIED_SIZE.to_owned(), plan.size.to_string()),
        (POD_PLAN.to_owned(), template.fingerprint.clone()),
        (VERSION.to_owned(), template.version.clone()),
    ]);
    if let Some(shrink) = plan.shrink {
        annotations.insert(SHRINK.to_owned(), shrink.to_string());
    }
    annotations
}

/// The StatefulSet never deletes volumes. Its scaling must not: at size 0 that would be the end of a hibernating
/// cluster. Its deletion must not: the operator makes it again. [`crate::plan::claims`] has the owner that may.
fn retention() -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some("Retain".into()),
        when_scaled: Some("Retain".into()),
    }
}

fn claim_template(claim: &ClaimPlan) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(CLAIM_TEMPLATE.into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: claim.class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(claim.size.clone()))])),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use muster_api::cluster::{EtcdClusterSpec, Retention};
    use muster_api::workload::Shrink;

    use super::*;
    use crate::build;
    use crate::plan::size::SizeStep;

    fn plan(replicas: u32, shrink: Option<Shrink>) -> SizePlan {
        SizePlan {
            step: SizeStep::Keep,
            adopt: None,
            size: replicas,
            replicas,
            shrink,
            why: String::new(),
        }
    }

    fn set(plan: &SizePlan, change: impl FnOnce(&mut EtcdClusterSpec)) -> StatefulSet {
        let mut spec = EtcdClusterSpec::of_size(3);
        change(&mut spec);
        let valid = crate::validate::spec("db", &spec).unwrap();
        let cluster = ValidatedCluster {
            owner: Some(OwnerReference::default()),
            ..valid
        };
        build::stateful_set(&cluster, plan, build::template(&cluster, "agent:1"))
    }

    #[test]
    fn a_stateful_set_says_what_was_applied_and_what_shrinks() {
        let set = set(&plan(5, Shrink::new(5, 3)), |_| ());
        assert_eq!(set.annotations()[APPLIED_REPLICAS], "5");
        assert_eq!(set.annotations()[SHRINK], "5->3");
        assert_eq!(set.spec.unwrap().replicas, Some(5));
    }

    #[test]
    fn differences_that_need_a_write_are_seen() {
        let live = set(&plan(3, None), |_| ());
        assert!(same(
            &live,
            &set(&plan(3, None), |spec| {
                spec.storage.when_scaled = Retention::Delete;
                spec.storage.retention = Retention::Delete;
            })
        ));
        assert!(!same(&live, &set(&plan(5, None), |_| ())));
        assert!(!same(&live, &set(&plan(3, Shrink::new(3, 1)), |_| ())));
        assert!(!same(
            &live,
            &set(&plan(3, None), |spec| spec.version = Some("3.5.21".into()))
        ));
        let mut older = set(&plan(3, None), |_| ());
        let policy = older.spec.as_mut().unwrap();
        policy.persistent_volume_claim_retention_policy = Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
            when_deleted: Some("Delete".into()),
            ..retention()
        });
        assert!(
            !same(&older, &live),
            "an earlier release let the StatefulSet own the claims"
        );
    }

    #[test]
    fn an_annotation_of_a_later_release_is_not_written_over() {
        let wanted = set(&plan(3, None), |_| ());
        let mut live = wanted.clone();
        let annotations = live.metadata.annotations.as_mut().unwrap();
        annotations.insert("etcd.etcd.io/pause".into(), "until noon".into());
        assert!(same(&live, &wanted));
    }

    #[test]
    fn the_stateful_set_never_deletes_volumes() {
        for retention in [Retention::Retain, Retention::Delete] {
            let set = set(&plan(3, None), |spec| {
                spec.storage.retention = retention;
                spec.storage.when_scaled = Retention::Delete;
            });
            let policy = set.spec.unwrap().persistent_volume_claim_retention_policy.unwrap();
            assert_eq!(policy.when_scaled.as_deref(), Some("Retain"));
            assert_eq!(policy.when_deleted.as_deref(), Some("Retain"));
        }
    }

    #[test]
    fn ephemeral_storage_needs_no_claims() {
        let spec = set(&plan(3, None), |spec| spec.storage.ephemeral = Some(Default::default()))
            .spec
            .unwrap();
        assert!(spec.volume_claim_templates.is_none());
        let volumes = spec.template.spec.unwrap().volumes.unwrap();
        assert!(
            volumes
                .iter()
                .any(|volume| volume.name == CLAIM_TEMPLATE && volume.empty_dir.is_some())
        );
    }
}
