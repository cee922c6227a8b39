//! Live members: those that answer right now, with this cluster's ID.

use std::collections::{BTreeMap, BTreeSet};

use super::{EtcdStatus, Identity, Observed};
use crate::ids::{ClusterId, MemberId, Seat, Time};

/// The members that answer right now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The members that answer Status.
    pub answering: BTreeSet<MemberId>,
    /// Those of them that follow one and the same leader: only they are a quorum together. Two voters
    /// that both answer this agent may still be cut off from each other.
    pub following_one_leader: BTreeSet<MemberId>,
}

impl Observed {
    /// The members of `cluster` that answer right now, each with the leader it follows.
    fn answers(&self, cluster: ClusterId, now: Time) -> BTreeMap<MemberId, Option<MemberId>> {
        self.statuses(now)
            .filter(|status| status.identity.cluster == cluster)
            .map(|status| (status.identity.member, status.leader))
            .collect()
    }

    /// The answers to Status that count right now, the local etcd's included.
    fn statuses(&self, now: Time) -> impl Iterator<Item = &EtcdStatus> {
        let peers = self.peers.seen.iter().flat_map(|(_, peers)| peers.values());
        peers
            .filter_map(move |peer| peer.etcd.fresh(now))
            .chain(self.local.fresh(now))
    }

    /// The leader that most of the members of `cluster` follow that answer right now.
    #[must_use]
    pub fn leader_of(&self, cluster: ClusterId, now: Time) -> Option<MemberId> {
        most_followed(&self.answers(cluster, now))
    }

    /// The members of `cluster` that answer right now, and those of them that follow the leader that
    /// most of them follow.
    #[must_use]
    pub fn live(&self, cluster: ClusterId, now: Time) -> Live {
        let answers = self.answers(cluster, now);
        let leader = most_followed(&answers);
        let followers = answers
            .iter()
            .filter(|(_, followed)| leader.is_some() && **followed == leader);
        Live {
            following_one_leader: followers.map(|(id, _)| *id).collect(),
            answering: answers.into_keys().collect(),
        }
    }

    /// The last known Status of a member of a cluster, if it answers right now.
    #[must_use]
    pub fn status_of(&self, identity: Identity, now: Time) -> Option<&EtcdStatus> {
        self.statuses(now).find(|status| status.identity == identity)
    }

    /// True if the pod of `seat` is known to be gone.
    #[must_use]
    pub fn pod_is_gone(&self, seat: Seat, now: Time) -> bool {
        seat != self.me.seat && self.peers.fresh(now).is_some_and(|peers| !peers.contains_key(&seat))
    }

    /// True if the pod of `seat` is known to be ending.
    #[must_use]
    pub(crate) fn pod_is_ending(&self, seat: Seat, now: Time) -> bool {
        let pod = self.peers.fresh(now).and_then(|peers| peers.get(&seat));
        pod.is_some_and(|pod| pod.terminating)
    }
}

fn most_followed(answers: &BTreeMap<MemberId, Option<MemberId>>) -> Option<MemberId> {
    let followers = |leader: MemberId| answers.values().filter(|followed| **followed == Some(leader)).count();
    let leaders: BTreeSet<_> = answers.values().flatten().copied().collect();
    leaders.into_iter().max_by_key(|leader| followers(*leader))
}
