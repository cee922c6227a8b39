//! The objects that a plan asks for, and what to do about each of them. No client.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use muster_api::birth::BirthRecord;
use muster_api::workload::{CONFIRM_MEMBERS, SHRINK, SHRINK_GENERATION};

use super::{Dependents, birth_record, stateful_set};
use crate::context::Known;
use crate::dereference::ObservedCluster;
use crate::plan::Plan;
use crate::plan::birth_record::RecordStep;
use crate::validate::ValidatedCluster;

/// The objects of a cluster as they are to be. Applying them is the only way to an `Applied`.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The objects that the StatefulSet's pods need; none if they are known to be there.
    pub(crate) dependents: Option<Dependents>,
    pub(crate) record: RecordWrite,
    pub(crate) set: SetWrite,
}

/// The write of the birth record.
#[derive(Debug)]
pub(crate) enum RecordWrite {
    None,
    /// Create it, unless somebody else just did.
    Create(ConfigMap),
    /// Make it this EtcdCluster's, if it has not changed since.
    Claim {
        /// The resource version that was read.
        read: Option<String>,
        /// The record with its new owner.
        wanted: ConfigMap,
        /// The etcd version to note in it, if it is another one now.
        written: Option<String>,
    },
    /// Note the etcd version that writes the data, if the record has not changed since.
    Note {
        /// The resource version that was read.
        read: Option<String>,
        name: String,
        written: String,
    },
}

/// The write of the StatefulSet.
#[derive(Debug)]
pub(crate) enum SetWrite {
    /// The StatefulSet is as it should be.
    Keep(Box<StatefulSet>),
    /// Apply it, if it has not changed since it was read.
    Apply(Box<StatefulSet>),
}

/// Builds what a plan asks for.
pub(crate) fn prepare(
    cluster: &ValidatedCluster,
    observed: &ObservedCluster,
    plan: &Plan,
    agent_image: &str,
    known: Known,
) -> Prepared {
    Prepared {
        dependents: (!known.dependents_written).then(|| super::dependents(cluster)),
        record: record_write(cluster, observed, plan),
        set: set_write(cluster, observed, plan, agent_image, known),
    }
}

fn record_write(cluster: &ValidatedCluster, observed: &ObservedCluster, plan: &Plan) -> RecordWrite {
    let read = observed.record.as_ref().and_then(ResourceExt::resource_version);
    let written = plan.written.map(|version| version.to_string());
    match (&plan.record, written) {
        (RecordStep::Missing, _) | (RecordStep::Keep, None) => RecordWrite::None,
        (RecordStep::Create(record), version) => {
            let record = BirthRecord {
                version,
                ..record.clone()
            };
            RecordWrite::Create(birth_record::build(cluster, &record))
        }
        (RecordStep::Claim, written) => RecordWrite::Claim {
            read,
            wanted: birth_record::empty(cluster),
            written,
        },
        (RecordStep::Keep, Some(written)) => RecordWrite::Note {
            read,
            name: cluster.names.birth_record(),
            written,
        },
    }
}

fn set_write(
    cluster: &ValidatedCluster,
    observed: &ObservedCluster,
    plan: &Plan,
    agent_image: &str,
    known: Known,
) -> SetWrite {
    let template = plan.template.clone();
    let template = template.unwrap_or_else(|| super::template(cluster, agent_image));
    let mut wanted = super::stateful_set(cluster, &plan.size, template);
    if let Some(live) = &observed.set {
        annotate(&mut wanted, live, plan);
    }
    match &observed.set {
        Some(live) if known.set_written && stateful_set::same(live, &wanted) => SetWrite::Keep(Box::new(live.clone())),
        live => {
            // Somebody who scales it meanwhile is not overwritten unseen.
            wanted.metadata.resource_version = live.as_ref().and_then(ResourceExt::resource_version);
            SetWrite::Apply(Box::new(wanted))
        }
    }
}

/// Adds the annotations that depend on the StatefulSet as it is: the generation that a shrink counts for, and the
/// question for a newer member list.
fn annotate(wanted: &mut StatefulSet, live: &StatefulSet, plan: &Plan) {
    let annotations = wanted.annotations_mut();
    let generation = live.metadata.generation.map(|generation| generation.to_string());
    if let Some(generation) = generation.filter(|_| annotations.contains_key(SHRINK)) {
        annotations.insert(SHRINK_GENERATION.to_owned(), generation);
    }
    if let Some(question) = &plan.cleanup.question {
        annotations.insert(CONFIRM_MEMBERS.to_owned(), question.clone());
    }
}

#[cfg(test)]
mod tests {
    use muster_api::workload::{self, Shrink};

    use super::*;
    use crate::plan::cleanup::CleanupPlan;
    use crate::plan::rollout::RolloutPlan;
    use crate::plan::size::{SizePlan, SizeStep};

    #[test]
    fn a_shrink_is_announced_for_the_generation_that_was_read() {
        let plan = Plan {
            size: SizePlan {
                step: SizeStep::AnnounceShrink,
                adopt: None,
                size: 3,
                replicas: 5,
                shrink: Shrink::new(5, 3),
                why: String::new(),
            },
            record: RecordStep::Keep,
            written: None,
            template: None,
            rollout: RolloutPlan::default(),
            claims: Vec::new(),
            cleanup: CleanupPlan::default(),
        };
        let mut live = StatefulSet::default();
        live.metadata.generation = Some(8);
        let mut wanted = StatefulSet::default();
        wanted.spec.get_or_insert_default().replicas = Some(5);
        wanted.annotations_mut().insert(SHRINK.into(), "5->3".into());
        annotate(&mut wanted, &live, &plan);
        wanted.metadata.generation = Some(8);
        assert_eq!(workload::wanted_seats(&wanted), 3);
        // Somebody scales it to 7 and back.
        wanted.metadata.generation = Some(10);
        assert_eq!(workload::wanted_seats(&wanted), 5);
    }
}
