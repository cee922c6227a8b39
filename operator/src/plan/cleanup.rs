//! The cleanup after seats that were scaled away: what they leave behind, and when it may go. No client.

use std::collections::BTreeSet;

use muster_api::cluster::Retention;
use muster_api::names::Names;
use muster_api::status::{EtcdClusterStatus, SeatStatus};

use super::size::{SizePlan, SizeStep};
use super::size_input::member_seats;
use crate::dereference::{ClaimView, ObservedCluster, PodView};
use crate::validate::ValidatedCluster;

/// The things to remove.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CleanupPlan {
    /// The volume claims to delete.
    pub(crate) claims: Vec<ClaimView>,
    /// The entries to take back from `status.seats`.
    pub(crate) seats: Vec<SeatStatus>,
}

pub(crate) fn plan(
    cluster: &ValidatedCluster,
    observed: &ObservedCluster,
    published: &EtcdClusterStatus,
    size: &SizePlan,
) -> CleanupPlan {
    let members = member_seats(&cluster.names, &published.members);
    let owner = cluster.owner_uid();
    let staying: Vec<ClaimView> = observed
        .claims
        .iter()
        .filter(|claim| !claim.going(owner))
        .cloned()
        .collect();
    let claims = claims(&staying, cluster.when_scaled, size, &members, &observed.pods);
    let seats = seat_entries(&cluster.names, &published.seats, size.replicas, &observed.pods);
    CleanupPlan {
        claims: claims.into_iter().cloned().collect(),
        seats: seats.into_iter().cloned().collect(),
    }
}

/// The claims of seats that were scaled away. A claim goes only after its
/// member has left the cluster and its pod is gone, and never while the
/// cluster sleeps.
fn claims<'a>(
    claims: &'a [ClaimView],
    when_scaled: Retention,
    plan: &SizePlan,
    members: &BTreeSet<u32>,
    pods: &[PodView],
) -> Vec<&'a ClaimView> {
    if when_scaled == Retention::Retain || plan.step != SizeStep::Keep || plan.replicas == 0 || members.is_empty() {
        return Vec::new();
    }
    let left = |claim: &&ClaimView| {
        claim.seat >= plan.replicas && !members.contains(&claim.seat) && !pods.iter().any(|pod| pod.seat == claim.seat)
    };
    claims.iter().filter(left).collect()
}

/// The status entries of seats that are not wanted and whose pods are gone:
/// nobody is left to take them back.
fn seat_entries<'a>(names: &Names, seats: &'a [SeatStatus], replicas: u32, pods: &[PodView]) -> Vec<&'a SeatStatus> {
    let orphaned = |entry: &&SeatStatus| {
        names.seat_of_pod(&entry.name).is_some_and(|seat| seat >= replicas)
            && !pods.iter().any(|pod| pod.name == entry.name)
    };
    seats.iter().filter(orphaned).collect()
}

#[cfg(test)]
mod tests {
    use muster_api::status::{Quorum, SeatPhase};

    use super::*;

    fn claim(seat: u32) -> ClaimView {
        ClaimView {
            name: format!("data-db-{seat}"),
            seat,
            uid: "u".into(),
            ..ClaimView::default()
        }
    }

    fn pod(seat: u32) -> PodView {
        PodView {
            name: format!("db-{seat}"),
            seat,
            uid: "u".into(),
            ready: true,
            terminating: true,
            revision: None,
            ..PodView::default()
        }
    }

    fn plan(step: SizeStep, replicas: u32) -> SizePlan {
        SizePlan {
            step,
            adopt: None,
            size: replicas,
            replicas,
            shrink: None,
            why: String::new(),
        }
    }

    fn seats(claims: Vec<&ClaimView>) -> Vec<u32> {
        claims.iter().map(|claim| claim.seat).collect()
    }

    #[test]
    fn the_claims_of_seats_that_left_go() {
        let all = [claim(0), claim(1), claim(2)];
        let going = claims(
            &all,
            Retention::Delete,
            &plan(SizeStep::Keep, 1),
            &[0].into(),
            &[pod(0)],
        );
        assert_eq!(seats(going), [1, 2]);
    }

    #[test]
    fn a_claim_stays_as_long_as_its_member_or_its_pod_is_there() {
        let all = [claim(1), claim(2)];
        let going = claims(
            &all,
            Retention::Delete,
            &plan(SizeStep::Keep, 1),
            &[0, 1].into(),
            &[pod(2)],
        );
        assert!(going.is_empty());
    }

    #[test]
    fn claims_stay_when_they_are_to_be_retained() {
        let all = [claim(1)];
        assert!(claims(&all, Retention::Retain, &plan(SizeStep::Keep, 1), &[0].into(), &[]).is_empty());
    }

    #[test]
    fn claims_stay_while_the_cluster_sleeps_or_changes_its_size_or_is_unknown() {
        let all = [claim(0), claim(1)];
        for plan in [
            plan(SizeStep::Keep, 0),
            plan(SizeStep::Hibernate, 0),
            plan(SizeStep::Lower, 1),
            plan(SizeStep::Wake, 1),
        ] {
            assert!(
                claims(&all, Retention::Delete, &plan, &[0].into(), &[]).is_empty(),
                "{plan:?}"
            );
        }
        assert!(claims(&all, Retention::Delete, &plan(SizeStep::Keep, 1), &BTreeSet::new(), &[]).is_empty());
    }

    #[test]
    fn entries_of_seats_that_are_gone_go() {
        let entry = |name: &str| SeatStatus {
            name: name.into(),
            phase: SeatPhase::Left,
            reason: String::new(),
            why: String::new(),
            member_id: None,
            quorum: Quorum::Unknown,
            voters: 0,
        };
        let seats = [entry("db-0"), entry("db-1"), entry("db-2"), entry("other")];
        let gone = seat_entries(&Names::new("db"), &seats, 1, &[pod(2)]);
        assert_eq!(gone.iter().map(|seat| seat.name.as_str()).collect::<Vec<_>>(), ["db-1"]);
    }
}
