//! The StatefulSet.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use muster_api::cluster::Retention;
use muster_api::names::CLAIM_TEMPLATE;
use muster_api::workload::{APPLIED_REPLICAS, SHRINK};

use super::{Template, metadata, selector};
use crate::sizing::Plan;
use crate::validate::{ClaimPlan, ValidatedCluster};

/// Annotation: the EtcdCluster's size when the replicas were written.
pub const APPLIED_SIZE: &str = "etcd.etcd.io/applied-size";
/// Annotation: the fingerprint of what the pod template was built from.
pub const POD_PLAN: &str = "etcd.etcd.io/pod-plan";
/// Annotation: the etcd version that the pod template runs.
pub const VERSION: &str = "etcd.etcd.io/version";

/// Every annotation that the operator writes.
const ANNOTATIONS: &[&str] = &[APPLIED_REPLICAS, APPLIED_SIZE, SHRINK, POD_PLAN, VERSION];

/// Whether a StatefulSet already says what another one would. Its template is
/// compared by what it was built from.
pub fn same(live: &StatefulSet, wanted: &StatefulSet) -> bool {
    let replicas = |set: &StatefulSet| set.spec.as_ref().and_then(|spec| spec.replicas);
    let annotation = |key: &&str| live.annotations().get(*key) == wanted.annotations().get(*key);
    replicas(live) == replicas(wanted) && ANNOTATIONS.iter().all(annotation)
}

/// Builds the StatefulSet.
pub(super) fn build(cluster: &ValidatedCluster, plan: &Plan, template: Template) -> StatefulSet {
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
            persistent_volume_claim_retention_policy: cluster.claim.is_some().then(|| retention(cluster.when_deleted)),
            volume_claim_templates: cluster.claim.as_ref().map(|claim| vec![claim_template(claim)]),
            template: template.pod,
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn annotations(plan: &Plan, template: &Template) -> BTreeMap<String, String> {
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

/// Scaling never deletes volumes by itself: at size 0 that would be the end of
/// a hibernating cluster.
fn retention(when_deleted: Retention) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let when_deleted = match when_deleted {
        Retention::Retain => "Retain",
        Retention::Delete => "Delete",
    };
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(when_deleted.into()),
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
