//! The cleanup after seats that were scaled away: what they leave behind, and when it may go. No client.

use muster_api::cluster::Retention;
use muster_api::names::Names;
use muster_api::status::{EtcdClusterStatus, SeatStatus};
use muster_api::workload;

use super::size::{SizePlan, SizeStep};
use super::size_input::member_seats;
use crate::dereference::{ClaimView, ObservedCluster, PodView};
use crate::validate::ValidatedCluster;

/// The things to remove, and the question that comes before.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CleanupPlan {
    /// The volume claims to delete.
    pub(crate) claims: Vec<ClaimView>,
    /// The question for a newer member list that is to be on the StatefulSet.
    pub(crate) question: Option<String>,
    /// The entries to take back from `status.seats`.
    pub(crate) seats: Vec<SeatStatus>,
}

pub(crate) fn plan(
    cluster: &ValidatedCluster,
    observed: &ObservedCluster,
    published: &EtcdClusterStatus,
    size: &SizePlan,
) -> CleanupPlan {
    let left = Leftovers {
        cluster,
        observed,
        published,
        size,
    };
    let (claims, question) = left.claims();
    let seats = seat_entries(&cluster.names, &published.seats, size.replicas, &observed.pods);
    CleanupPlan {
        claims,
        question,
        seats: seats.into_iter().cloned().collect(),
    }
}

/// The facts that decide about what is left behind.
struct Leftovers<'a> {
    cluster: &'a ValidatedCluster,
    observed: &'a ObservedCluster,
    published: &'a EtcdClusterStatus,
    size: &'a SizePlan,
}

impl Leftovers<'_> {
    /// The claims to delete, and the question that is to be on the StatefulSet.
    ///
    /// The published members may be of any age: the agent that publishes them may be cut off from the API server. So
    /// the operator asks first, once no pod of the seats in question is left, and deletes nothing before the members
    /// are published with its question. No clock is compared, and no time-out decides.
    fn claims(&self) -> (Vec<ClaimView>, Option<String>) {
        let Some(set) = &self.observed.set else {
            return Default::default();
        };
        let question = workload::question_for(set);
        let asked = question.is_some() && workload::question(set) == question.as_deref();
        let left = self.claims_left();
        if left.is_empty() {
            // A question that still holds stays: it is withdrawn with the next write.
            return (left, question.filter(|_| asked));
        }
        let answered = asked && self.published.members_confirmed == question;
        (if answered { left } else { Vec::new() }, question)
    }

    /// The claims of seats that were scaled away: the cluster used them, their members are not in the published list,
    /// and no pod above the replicas is left. None while the cluster sleeps.
    fn claims_left(&self) -> Vec<ClaimView> {
        let (plan, pods) = (self.size, &self.observed.pods);
        let members = member_seats(&self.cluster.names, &self.published.members);
        let cluster_id = self.published.cluster_id;
        let settled = plan.step == SizeStep::Keep && plan.replicas > 0;
        let pods_left = pods.iter().any(|pod| pod.seat >= plan.replicas);
        let known = cluster_id.is_some() && !members.is_empty();
        if self.cluster.when_scaled == Retention::Retain || !settled || pods_left || !known {
            return Vec::new();
        }
        let left = |claim: &&ClaimView| {
            claim.seat >= plan.replicas
                && claim.used_by == cluster_id
                && !claim.going(self.cluster.owner_uid())
                && !members.contains(&claim.seat)
        };
        self.observed.claims.iter().filter(left).cloned().collect()
    }
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
    use k8s_openapi::api::apps::v1::StatefulSet;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use muster_api::cluster::{EtcdCluster, EtcdClusterSpec};
    use muster_api::id::HexId;
    use muster_api::status::{MemberStatus, Quorum, Role, SeatPhase};
    use muster_api::workload::CONFIRM_MEMBERS;

    use super::*;

    const ID: Option<HexId> = Some(HexId(7));

    /// A claim that the cluster has used.
    fn claim(seat: u32) -> ClaimView {
        ClaimView {
            name: format!("data-db-{seat}"),
            seat,
            labelled: true,
            bound: true,
            used_by: ID,
            ..ClaimView::default()
        }
    }

    fn pod(seat: u32) -> PodView {
        PodView {
            name: format!("db-{seat}"),
            seat,
            terminating: true,
            ..PodView::default()
        }
    }

    /// A cluster that was scaled to one seat, and whose claims of more seats are there.
    struct Case {
        when_scaled: Retention,
        step: SizeStep,
        replicas: u32,
        members: Vec<u32>,
        pods: Vec<PodView>,
        claims: Vec<ClaimView>,
        /// The generation of the StatefulSet when the operator asked.
        asked_at: Option<i64>,
        /// The generation in the answer.
        answered_at: Option<i64>,
    }

    /// Seats 1 and 2 have left, the operator has asked, and the leader's agent has answered.
    fn answered() -> Case {
        Case {
            when_scaled: Retention::Delete,
            step: SizeStep::Keep,
            replicas: 1,
            members: vec![0],
            pods: vec![pod(0)],
            claims: vec![claim(0), claim(1), claim(2)],
            asked_at: Some(4),
            answered_at: Some(4),
        }
    }

    impl Case {
        fn plan(&self) -> CleanupPlan {
            let mut spec = EtcdClusterSpec::of_size(1);
            spec.storage.when_scaled = self.when_scaled;
            let valid = crate::validate::spec("db", &spec).unwrap();
            let mut set = StatefulSet::default();
            set.metadata.uid = Some("set".into());
            let question = |generation| {
                let mut set = set.clone();
                set.metadata.generation = Some(generation);
                workload::question_for(&set).unwrap()
            };
            let (asked, answer) = (self.asked_at.map(question), self.answered_at.map(question));
            set.metadata.generation = Some(4);
            set.metadata.annotations = asked.map(|question| [(CONFIRM_MEMBERS.to_owned(), question)].into());
            let observed = ObservedCluster {
                cluster: EtcdCluster::new("db", spec),
                set: Some(set),
                record: None,
                pods: self.pods.clone(),
                claims: self.claims.clone(),
                revision: None,
                obstacles: Default::default(),
            };
            let member = |seat: &u32| MemberStatus {
                id: HexId((*seat).into()),
                name: valid.names.pod(*seat),
                peer_url: valid.names.peer_url("http", *seat, "ns", "cluster.local"),
                role: Role::Voter,
                started: true,
            };
            let published = EtcdClusterStatus {
                cluster_id: ID,
                members: self.members.iter().map(member).collect(),
                members_confirmed: answer,
                ..EtcdClusterStatus::default()
            };
            let size = SizePlan {
                step: self.step,
                adopt: None,
                size: self.replicas,
                replicas: self.replicas,
                shrink: None,
                why: String::new(),
            };
            plan(&valid, &observed, &published, &size)
        }

        /// The seats whose claims go, and whether the operator asks.
        fn goes(&self) -> (Vec<u32>, bool) {
            let plan = self.plan();
            let asks = plan.question == Some("set/4".into());
            (plan.claims.iter().map(|claim| claim.seat).collect(), asks)
        }
    }

    #[test]
    fn the_claims_of_seats_that_left_go_after_a_question_and_its_answer() {
        let new = Case {
            asked_at: None,
            answered_at: None,
            ..answered()
        };
        assert_eq!(new.goes(), (vec![], true));
        let asked = Case {
            answered_at: None,
            ..answered()
        };
        assert_eq!(asked.goes(), (vec![], true));
        assert_eq!(answered().goes(), (vec![1, 2], true));
    }

    #[test]
    fn an_answer_from_before_the_replicas_changed_says_nothing() {
        // The leader's agent was cut off while the cluster grew, and the published members are from before.
        let older = Case {
            asked_at: Some(2),
            answered_at: Some(2),
            ..answered()
        };
        assert_eq!(older.goes(), (vec![], true));
        let asked_again = Case {
            answered_at: Some(2),
            ..answered()
        };
        assert_eq!(asked_again.goes(), (vec![], true));
        // An answer without the question: from a StatefulSet that was there before, or by hand.
        let unasked = Case {
            asked_at: None,
            ..answered()
        };
        assert_eq!(unasked.goes(), (vec![], true));
    }

    #[test]
    fn nobody_is_asked_before_the_last_pod_is_gone() {
        let ending = Case {
            pods: vec![pod(0), pod(2)],
            asked_at: None,
            answered_at: None,
            ..answered()
        };
        assert_eq!(ending.goes(), (vec![], false));
    }

    #[test]
    fn a_claim_stays_as_long_as_its_member_is_there() {
        let listed = Case {
            members: vec![0, 2],
            ..answered()
        };
        assert_eq!(listed.goes().0, [1]);
    }

    #[test]
    fn a_claim_that_the_cluster_never_used_stays() {
        let foreign = ClaimView {
            used_by: None,
            ..claim(1)
        };
        let earlier = ClaimView {
            used_by: Some(HexId(6)),
            ..claim(2)
        };
        let owned = ClaimView {
            owners: vec![OwnerReference {
                uid: "another".into(),
                ..OwnerReference::default()
            }],
            ..claim(3)
        };
        let others = Case {
            claims: vec![claim(0), foreign, earlier, owned],
            ..answered()
        };
        assert_eq!(others.goes().0, [0; 0]);
        let new = Case {
            asked_at: None,
            ..others
        };
        assert_eq!(new.goes(), (vec![], false), "for nothing, nobody is asked");
    }

    #[test]
    fn claims_stay_when_they_are_to_be_retained_and_while_the_cluster_sleeps_or_changes_or_is_unknown() {
        let cases = [
            Case {
                when_scaled: Retention::Retain,
                ..answered()
            },
            Case {
                replicas: 0,
                ..answered()
            },
            Case {
                step: SizeStep::Hibernate,
                replicas: 0,
                ..answered()
            },
            Case {
                step: SizeStep::Lower,
                ..answered()
            },
            Case {
                step: SizeStep::Wake,
                ..answered()
            },
            Case {
                members: vec![],
                ..answered()
            },
        ];
        for case in cases {
            assert_eq!(case.goes().0, [0; 0], "{:?} {}", case.step, case.replicas);
        }
    }

    #[test]
    fn a_question_stays_until_the_replicas_change() {
        let done = Case {
            claims: vec![claim(0)],
            ..answered()
        };
        assert_eq!(done.goes(), (vec![], true));
        let older = Case {
            asked_at: Some(2),
            ..done
        };
        assert_eq!(older.goes(), (vec![], false));
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
            version: None,
        };
        let seats = [entry("db-0"), entry("db-1"), entry("db-2"), entry("other")];
        let gone = seat_entries(&Names::new("db"), &seats, 1, &[pod(2)]);
        assert_eq!(gone.iter().map(|seat| seat.name.as_str()).collect::<Vec<_>>(), ["db-1"]);
    }
}
