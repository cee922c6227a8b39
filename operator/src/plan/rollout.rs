//! The roll-out of a changed pod template: the pods that are outdated, and the one to replace next. No client.
//!
//! One at a time, through the Eviction API, and only while the cluster is
//! whole. A pod that does not work is replaced before any that does, since it
//! may be the old template that keeps it from working.
//!
//! It is planned from the StatefulSet that was read. A write of that StatefulSet makes no plan wrong: the write
//! holds only for the resource version that was read, so that the status which it returns is the one that was read;
//! and if it changed the spec, the generation is a new one, for which Kubernetes has not computed a revision yet:
//! then no pod counts as outdated ([`RolloutPlan::outdated`]). Nothing is evicted in a reconciliation that wrote
//! the StatefulSet.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use muster_api::status::{EtcdClusterStatus, MemberStatus, Role};

use super::size::{SizePlan, SizeStep};
use crate::dereference::{ObservedCluster, PodView};
use crate::validate::ValidatedCluster;

#[cfg(test)]
mod tests;

/// The facts that a roll-out depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RolloutInput<'a> {
    /// The generation of the StatefulSet that was read.
    pub(crate) generation: Option<i64>,
    /// The revision that pods should have; none while Kubernetes computes it.
    pub(crate) revision: Option<&'a str>,
    pub(crate) pods: &'a [PodView],
    /// Number of seats that are wanted.
    pub(crate) wanted: u32,
    pub(crate) members: &'a [MemberStatus],
    /// Name of the leader's pod.
    pub(crate) leader: Option<&'a str>,
    /// True if data outlives a pod.
    pub(crate) persistent: bool,
    /// True if the etcd cluster may exist already.
    pub(crate) formed: bool,
}

/// The pods to replace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RolloutPlan {
    generation: Option<i64>,
    outdated: usize,
    /// The pod to evict now, if the StatefulSet needs no write.
    pub(crate) evict: Option<PodView>,
}

impl RolloutPlan {
    /// Number of pods that wait to be replaced, beside the StatefulSet as it was applied.
    pub(crate) fn outdated(&self, applied: &StatefulSet) -> usize {
        if applied.metadata.generation == self.generation {
            self.outdated
        } else {
            0
        }
    }
}

/// Plans the roll-out. Nothing is evicted while sizing has a step to take.
pub(crate) fn plan(input: &RolloutInput<'_>, size: &SizePlan) -> RolloutPlan {
    RolloutPlan {
        generation: input.generation,
        outdated: input.outdated().len(),
        evict: input.next().filter(|_| size.step == SizeStep::Keep).cloned(),
    }
}

/// The revision of a StatefulSet's present template; none while Kubernetes computes it.
pub(crate) fn revision(set: &StatefulSet) -> Option<&str> {
    let status = set.status.as_ref();
    let current = status.filter(|status| status.observed_generation == set.metadata.generation)?;
    current.update_revision.as_deref()
}

impl<'a> RolloutInput<'a> {
    pub(crate) fn new(
        observed: &'a ObservedCluster,
        published: &'a EtcdClusterStatus,
        cluster: &ValidatedCluster,
        size: &SizePlan,
        formed: bool,
    ) -> Self {
        let set = observed.set.as_ref();
        Self {
            generation: set.and_then(|set| set.metadata.generation),
            revision: set.and_then(revision),
            pods: &observed.pods,
            wanted: size.size,
            members: &published.members,
            leader: published.leader.as_deref(),
            persistent: cluster.claim.is_some(),
            formed,
        }
    }

    /// The pods that were made from another template.
    fn outdated(&self) -> Vec<&'a PodView> {
        let Some(revision) = self.revision else {
            return Vec::new();
        };
        let differs = |pod: &&PodView| pod.revision.as_deref() != Some(revision);
        self.pods
            .iter()
            .filter(differs)
            .filter(|pod| pod.seat < self.wanted)
            .collect()
    }

    /// The pod to replace now.
    fn next(&self) -> Option<&'a PodView> {
        if self.pods.iter().any(|pod| pod.terminating) {
            return None;
        }
        let outdated = self.outdated();
        let broken = outdated.iter().rev().find(|pod| !pod.ready).copied();
        if broken.is_some() {
            // Without its volume, a member that only seems to be down would be lost.
            return broken.filter(|_| self.persistent || !self.formed);
        }
        if !self.whole() {
            return None;
        }
        let led = |pod: &&&PodView| Some(pod.name.as_str()) == self.leader;
        outdated
            .iter()
            .rev()
            .find(|pod| !led(pod))
            .or(outdated.first())
            .copied()
    }

    /// True if all wanted seats are voters and ready, and nobody joins or leaves.
    fn whole(&self) -> bool {
        let ready: BTreeSet<u32> = self.pods.iter().filter(|pod| pod.ready).map(|pod| pod.seat).collect();
        let voters = self
            .members
            .iter()
            .filter(|member| member.role == Role::Voter && member.started)
            .count();
        ready == (0..self.wanted).collect() && voters == self.members.len() && voters == self.wanted as usize
    }
}
