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

impl<'a> RolloutInput<'a> {
    pub(crate) fn new(
        observed: &'a ObservedCluster,
        published: &'a EtcdClusterStatus,
        cluster: &ValidatedCluster,
        size: &SizePlan,
        formed: bool,
    ) -> Self {
        let set = observed.set.as_ref();
        let generation = set.and_then(|set| set.metadata.generation);
        let status = set.and_then(|set| set.status.as_ref());
        let current = status.filter(|status| status.observed_generation == generation);
        Self {
            generation,
            revision: current.and_then(|status| status.update_revision.as_deref()),
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

#[cfg(test)]
mod tests {
    use muster_api::id::HexId;

    use super::*;

    fn pods(revisions: &[&str]) -> Vec<PodView> {
        let pod = |(seat, revision): (usize, &&str)| PodView {
            name: format!("db-{seat}"),
            seat: seat as u32,
            uid: format!("uid-{seat}"),
            ready: true,
            terminating: false,
            revision: Some(revision.to_string()),
        };
        revisions.iter().enumerate().map(pod).collect()
    }

    fn voters(n: u64) -> Vec<MemberStatus> {
        let voter = |id| MemberStatus {
            id: HexId(id),
            name: format!("db-{id}"),
            peer_url: String::new(),
            role: Role::Voter,
            started: true,
        };
        (0..n).map(voter).collect()
    }

    fn rollout<'a>(pods: &'a [PodView], members: &'a [MemberStatus]) -> RolloutInput<'a> {
        RolloutInput {
            generation: Some(1),
            revision: Some("new"),
            pods,
            wanted: 3,
            members,
            leader: Some("db-2"),
            persistent: true,
            formed: true,
        }
    }

    fn next(rollout: &RolloutInput<'_>) -> Option<u32> {
        rollout.next().map(|pod| pod.seat)
    }

    #[test]
    fn pods_of_the_wanted_template_are_left_alone() {
        assert_eq!(next(&rollout(&pods(&["new", "new", "new"]), &voters(3))), None);
    }

    #[test]
    fn the_leader_is_replaced_last() {
        let members = voters(3);
        assert_eq!(next(&rollout(&pods(&["old", "old", "old"]), &members)), Some(1));
        assert_eq!(next(&rollout(&pods(&["old", "new", "old"]), &members)), Some(0));
        assert_eq!(next(&rollout(&pods(&["new", "new", "old"]), &members)), Some(2));
    }

    #[test]
    fn nothing_is_replaced_while_another_pod_is_down() {
        let members = voters(3);
        for change in [
            |pod: &mut PodView| pod.ready = false,
            |pod: &mut PodView| pod.terminating = true,
        ] {
            let mut pods = pods(&["old", "old", "new"]);
            change(&mut pods[2]);
            assert_eq!(next(&rollout(&pods, &members)), None);
        }
        assert_eq!(next(&rollout(&pods(&["old", "old"]), &members)), None);
    }

    #[test]
    fn nothing_is_replaced_while_membership_is_not_what_is_wanted() {
        let pods = pods(&["old", "old", "old"]);
        let mut learner = voters(3);
        learner[2].role = Role::Learner;
        let mut unstarted = voters(3);
        unstarted[2].started = false;
        for members in [voters(2), voters(4), learner, unstarted, Vec::new()] {
            assert_eq!(next(&rollout(&pods, &members)), None, "{members:?}");
        }
    }

    #[test]
    fn a_broken_pod_of_the_old_template_is_replaced_first() {
        let mut pods = pods(&["old", "old", "new"]);
        pods[0].ready = false;
        assert_eq!(next(&rollout(&pods, &voters(3))), Some(0));
    }

    #[test]
    fn a_broken_pod_with_the_only_copy_of_its_data_is_left_alone() {
        let mut pods = pods(&["old", "old", "new"]);
        pods[0].ready = false;
        let members = voters(3);
        let ephemeral = RolloutInput {
            persistent: false,
            ..rollout(&pods, &members)
        };
        assert_eq!(next(&ephemeral), None);
        assert_eq!(
            next(&RolloutInput {
                formed: false,
                ..ephemeral
            }),
            Some(0)
        );
    }

    #[test]
    fn nothing_is_replaced_before_the_wanted_revision_is_known() {
        let pods = pods(&["old", "old", "old"]);
        let members = voters(3);
        assert_eq!(
            next(&RolloutInput {
                revision: None,
                ..rollout(&pods, &members)
            }),
            None
        );
    }

    #[test]
    fn pods_that_are_not_wanted_are_not_replaced() {
        let pods = pods(&["new", "new", "new", "old"]);
        assert_eq!(next(&rollout(&pods, &voters(3))), None);
    }

    fn size_plan(step: SizeStep) -> SizePlan {
        SizePlan {
            step,
            adopt: None,
            size: 3,
            replicas: 3,
            shrink: None,
            why: String::new(),
        }
    }

    #[test]
    fn nothing_is_evicted_while_the_size_changes() {
        let (pods, members) = (pods(&["old", "old", "old"]), voters(3));
        let evicted = |step| plan(&rollout(&pods, &members), &size_plan(step)).evict;
        assert_eq!(evicted(SizeStep::Keep).map(|pod| pod.seat), Some(1));
        assert_eq!(evicted(SizeStep::Grow), None);
        assert_eq!(evicted(SizeStep::AwaitMembers), None);
    }

    #[test]
    fn no_pod_is_outdated_before_kubernetes_has_seen_a_change_of_the_spec() {
        let (pods, members) = (pods(&["old", "old", "new"]), voters(3));
        let plan = plan(&rollout(&pods, &members), &size_plan(SizeStep::Keep));
        let mut applied = StatefulSet::default();
        applied.metadata.generation = Some(1);
        assert_eq!(plan.outdated(&applied), 2);
        applied.metadata.generation = Some(2);
        assert_eq!(plan.outdated(&applied), 0);
    }
}
