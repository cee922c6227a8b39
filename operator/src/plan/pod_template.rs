//! The pod template that stays as it is. No client.
//!
//! A new release of the operator must not restart a single pod: a template
//! that was built from the same pod plan stays, down to the agent's image. And
//! a template never changes in the same write as the size, nor during a shrink: any change of the StatefulSet's spec
//! makes a shrink void that was announced before.

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt;
use muster_api::workload::{self, POD_PLAN, VERSION};

use super::size::SizePlan;
use crate::dereference::ObservedCluster;
use crate::validate::ValidatedCluster;

/// A pod template, and what it was built from.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) pod: PodTemplateSpec,
    /// The fingerprint of the pod plan.
    pub(crate) fingerprint: String,
    pub(crate) version: String,
}

/// The template that stays, if one does.
pub(crate) fn kept(observed: &ObservedCluster, valid: &ValidatedCluster, plan: &SizePlan) -> Option<Template> {
    match &observed.set {
        Some(live) => of_set(live, valid, plan),
        None => of_revision(observed.revision.as_ref()?, valid),
    }
}

fn of_set(live: &StatefulSet, valid: &ValidatedCluster, plan: &SizePlan) -> Option<Template> {
    let annotation = |key: &str| live.annotations().get(key).cloned();
    let fingerprint = annotation(POD_PLAN)?;
    let shrinks = plan.shrink.is_some() || workload::shrink(live).is_some();
    let resizes = shrinks || workload::replicas(live) != plan.replicas;
    let same_plan = fingerprint == valid.pods.fingerprint();
    let version = if same_plan {
        valid.version.to_string()
    } else {
        annotation(VERSION)?
    };
    let pod = live.spec.as_ref()?.template.clone();
    (same_plan || resizes).then_some(Template {
        pod,
        fingerprint,
        version,
    })
}

/// Kubernetes copies a StatefulSet's annotations to the revision of its
/// template, and the revision outlives a StatefulSet whose pods are orphaned.
fn of_revision(revision: &ControllerRevision, valid: &ValidatedCluster) -> Option<Template> {
    let fingerprint = valid.pods.fingerprint();
    if revision.annotations().get(POD_PLAN) != Some(&fingerprint) {
        return None;
    }
    let template = revision.data.as_ref()?.0.pointer("/spec/template")?;
    let pod: PodTemplateSpec = serde_json::from_value(template.clone()).ok()?;
    Some(Template {
        pod,
        fingerprint,
        version: valid.version.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
    use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
    use muster_api::cluster::{EtcdCluster, EtcdClusterSpec};
    use muster_api::workload::{SHRINK, Shrink};
    use serde_json::json;

    use super::*;
    use crate::build;
    use crate::plan::size::SizeStep;

    fn cluster(version: &str) -> ValidatedCluster {
        let spec = EtcdClusterSpec {
            version: Some(version.into()),
            ..EtcdClusterSpec::of_size(3)
        };
        let valid = crate::validate::spec("db", &spec).unwrap();
        ValidatedCluster {
            owner: Some(OwnerReference::default()),
            ..valid
        }
    }

    fn plan(replicas: u32) -> SizePlan {
        SizePlan {
            step: SizeStep::Keep,
            adopt: None,
            size: replicas,
            replicas,
            shrink: None,
            why: String::new(),
        }
    }

    /// A cluster of three, as an earlier release made it.
    fn observed(version: &str) -> ObservedCluster {
        let valid = cluster(version);
        ObservedCluster {
            cluster: EtcdCluster::new("db", EtcdClusterSpec::of_size(3)),
            set: Some(build::stateful_set(
                &valid,
                &plan(3),
                build::template(&valid, "agent:old"),
            )),
            record: None,
            pods: Vec::new(),
            claims: Vec::new(),
            revision: None,
            obstacles: Default::default(),
        }
    }

    fn agent(template: &Template) -> Option<&str> {
        let spec = template.pod.spec.as_ref()?;
        spec.init_containers.as_ref()?.first()?.image.as_deref()
    }

    #[test]
    fn a_new_release_of_the_operator_keeps_the_template() {
        let kept = kept(&observed("3.5.21"), &cluster("3.5.21"), &plan(3)).unwrap();
        assert_eq!(agent(&kept), Some("agent:old"));
    }

    #[test]
    fn another_version_gets_another_template() {
        assert!(kept(&observed("3.5.21"), &cluster("3.5.35"), &plan(3)).is_none());
    }

    #[test]
    fn a_template_waits_until_the_size_has_changed() {
        let kept = kept(&observed("3.5.21"), &cluster("3.5.35"), &plan(5)).unwrap();
        assert_eq!(kept.version, "3.5.21");
        assert_eq!(kept.fingerprint, cluster("3.5.21").pods.fingerprint());
    }

    #[test]
    fn a_template_waits_until_a_shrink_is_over() {
        let announced = SizePlan {
            step: SizeStep::AwaitMembers,
            shrink: Shrink::new(3, 1),
            ..plan(3)
        };
        let mut shrinking = observed("3.5.21");
        let annotations = shrinking.set.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
        annotations.insert(SHRINK.into(), "3->1".into());
        let kept = kept(&shrinking, &cluster("3.5.35"), &announced).unwrap();
        assert_eq!(kept.version, "3.5.21");
    }

    #[test]
    fn orphaned_pods_keep_the_template_they_were_made_from() {
        let mut orphaned = observed("3.5.21");
        let set = orphaned.set.take().unwrap();
        let template = set.spec.as_ref().unwrap().template.clone();
        orphaned.revision = Some(ControllerRevision {
            metadata: ObjectMeta {
                annotations: set.metadata.annotations,
                ..ObjectMeta::default()
            },
            data: Some(RawExtension(json!({ "spec": { "template": template } }))),
            revision: 1,
        });
        let found = kept(&orphaned, &cluster("3.5.21"), &plan(3)).unwrap();
        assert_eq!(found.pod, template);
        assert!(kept(&orphaned, &cluster("3.5.35"), &plan(3)).is_none());
    }

    #[test]
    fn a_new_cluster_has_no_template_to_keep() {
        let new = ObservedCluster {
            set: None,
            ..observed("3.5.21")
        };
        assert!(kept(&new, &cluster("3.5.21"), &plan(3)).is_none());
    }
}
