//! Which pod to replace next after the pod template changed.
//!
//! One at a time, through the Eviction API, and only while the cluster is
//! whole. A pod that does not work is replaced before any that does, since it
//! may be the old template that keeps it from working.

use std::collections::BTreeSet;

use muster_api::status::{MemberStatus, Role};

use crate::dereference::PodView;

/// What a roll-out depends on.
#[derive(Debug, Clone, Copy)]
pub struct Rollout<'a> {
    /// The revision that pods should have; none while Kubernetes computes it.
    pub revision: Option<&'a str>,
    /// The pods.
    pub pods: &'a [PodView],
    /// How many seats are wanted.
    pub wanted: u32,
    /// The published members.
    pub members: &'a [MemberStatus],
    /// The leader's pod.
    pub leader: Option<&'a str>,
    /// Whether data outlives a pod.
    pub persistent: bool,
    /// Whether the etcd cluster may exist already.
    pub formed: bool,
}

impl<'a> Rollout<'a> {
    /// The pods that were made from another template.
    pub fn outdated(&self) -> Vec<&'a PodView> {
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
    pub fn next(&self) -> Option<&'a PodView> {
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

    fn rollout<'a>(pods: &'a [PodView], members: &'a [MemberStatus]) -> Rollout<'a> {
        Rollout {
            revision: Some("new"),
            pods,
            wanted: 3,
            members,
            leader: Some("db-2"),
            persistent: true,
            formed: true,
        }
    }

    fn next(rollout: &Rollout<'_>) -> Option<u32> {
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
        let ephemeral = Rollout {
            persistent: false,
            ..rollout(&pods, &members)
        };
        assert_eq!(next(&ephemeral), None);
        assert_eq!(
            next(&Rollout {
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
            next(&Rollout {
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
}
