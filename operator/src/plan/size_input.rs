//! The input of sizing, gathered from what was read. No client.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use muster_api::names::Names;
use muster_api::status::{EtcdClusterStatus, MemberStatus, Quorum, Role};
use muster_api::workload::{self, APPLIED_REPLICAS, APPLIED_SIZE, Shrink};

use super::birth_record;
use crate::dereference::ObservedCluster;
use crate::validate::ValidatedCluster;

/// The facts that sizing depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SizeInput {
    /// The size that the EtcdCluster asks for.
    pub(crate) size: u32,
    /// The StatefulSet, if there is one.
    pub(crate) set: Option<SetState>,
    /// True if the etcd cluster may exist already.
    pub(crate) formed: bool,
    /// The seats of the published members.
    pub(crate) members: BTreeSet<u32>,
    /// The seats of the published members that vote.
    pub(crate) voters: BTreeSet<u32>,
    /// The reports of the agents of existing pods, by seat.
    pub(crate) seats: BTreeMap<u32, SeatView>,
    /// The seats whose pods exist.
    pub(crate) pods: BTreeSet<u32>,
    /// The seats whose pods are ready and are not being deleted.
    pub(crate) ready: BTreeSet<u32>,
}

/// A StatefulSet, as far as its size is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetState {
    pub(crate) replicas: u32,
    /// The values that the operator wrote last; none if the annotations are absent.
    pub(crate) applied: Option<AppliedSize>,
    /// The shrink that is announced on it.
    pub(crate) shrink: Option<Shrink>,
}

/// The values that the operator wrote last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppliedSize {
    pub(crate) replicas: u32,
    /// The EtcdCluster's size when the replicas were written.
    pub(crate) size: u32,
}

/// The report of a seat's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeatView {
    pub(crate) quorum: Quorum,
    /// Number of voters in the member list that the seat read last.
    pub(crate) voters: u32,
}

/// Gathers the input of sizing.
pub(crate) fn size_input(
    cluster: &ValidatedCluster,
    observed: &ObservedCluster,
    published: &EtcdClusterStatus,
) -> SizeInput {
    let names = &cluster.names;
    let pods: BTreeSet<u32> = observed.pods.iter().map(|pod| pod.seat).collect();
    let seats = published.seats.iter().filter_map(|entry| {
        let view = SeatView {
            quorum: entry.quorum,
            voters: u32::try_from(entry.voters).unwrap_or(0),
        };
        Some((names.seat_of_pod(&entry.name)?, view))
    });
    SizeInput {
        size: cluster.size,
        set: observed.set.as_ref().map(set_state),
        formed: birth_record::may_be_formed(observed.record.as_ref(), published.cluster_id),
        members: member_seats(names, &published.members),
        voters: voter_seats(names, &published.members),
        // An entry without its pod is of the past.
        seats: seats.filter(|(seat, _)| pods.contains(seat)).collect(),
        ready: observed
            .pods
            .iter()
            .filter(|pod| pod.ready && !pod.terminating)
            .map(|pod| pod.seat)
            .collect(),
        pods,
    }
}

/// The seats of members.
pub(crate) fn member_seats(names: &Names, members: &[MemberStatus]) -> BTreeSet<u32> {
    members
        .iter()
        .filter_map(|member| names.seat_of_peer_url(&member.peer_url))
        .collect()
}

fn voter_seats(names: &Names, members: &[MemberStatus]) -> BTreeSet<u32> {
    let voters = members.iter().filter(|member| member.role == Role::Voter);
    voters
        .filter_map(|member| names.seat_of_peer_url(&member.peer_url))
        .collect()
}

fn set_state(set: &StatefulSet) -> SetState {
    let number = |key: &str| set.annotations().get(key).and_then(|text| text.parse().ok());
    let applied = number(APPLIED_REPLICAS).zip(number(APPLIED_SIZE));
    SetState {
        replicas: workload::replicas(set),
        applied: applied.map(|(replicas, size)| AppliedSize { replicas, size }),
        shrink: workload::shrink(set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_of_another_release_that_cannot_be_read_count_as_absent() {
        let state = |replicas: &str, size: &str| {
            let set = serde_json::json!({
                "metadata": { "annotations": {
                    APPLIED_REPLICAS: replicas, APPLIED_SIZE: size, "etcd.etcd.io/pause": "until noon",
                } },
                "spec": { "replicas": 5, "selector": {}, "template": {} },
            });
            set_state(&serde_json::from_value(set).unwrap())
        };
        let applied = AppliedSize { replicas: 5, size: 3 };
        assert_eq!(state("5", "3").applied, Some(applied));
        for (replicas, size) in [("5 of 7", "3"), ("5", "3..5"), ("", "3")] {
            let state = state(replicas, size);
            assert_eq!((state.replicas, state.applied), (5, None), "{replicas}, {size}");
        }
    }
}
