//! What sizing needs to know, gathered from what was read.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use muster_api::names::Names;
use muster_api::status::{MemberStatus, Role};
use muster_api::workload::{self, APPLIED_REPLICAS, APPLIED_SIZE};

use crate::dereference::Observed;
use crate::plan::birth_record;
use crate::plan::size::{Applied, SeatView, SetState, Situation};
use crate::validate::ValidatedCluster;

/// Gathers the situation of a cluster.
pub fn situation(cluster: &ValidatedCluster, observed: &Observed) -> Situation {
    let names = &cluster.names;
    let status = observed.cluster.status.clone().unwrap_or_default();
    let pods: BTreeSet<u32> = observed.pods.iter().map(|pod| pod.seat).collect();
    let seats = status.seats.iter().filter_map(|entry| {
        let view = SeatView {
            quorum: entry.quorum,
            voters: u32::try_from(entry.voters).unwrap_or(0),
        };
        Some((names.seat_of_pod(&entry.name)?, view))
    });
    Situation {
        size: cluster.size,
        set: observed.set.as_ref().map(set_state),
        formed: birth_record::may_be_formed(observed.record.as_ref(), status.cluster_id),
        members: member_seats(names, &status.members),
        voters: voter_seats(names, &status.members),
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
pub fn member_seats(names: &Names, members: &[MemberStatus]) -> BTreeSet<u32> {
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
        applied: applied.map(|(replicas, size)| Applied { replicas, size }),
        shrink: workload::shrink(set),
    }
}
