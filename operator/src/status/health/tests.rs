//! One test for each state of a cluster.

mod obstacles;

use muster_api::cluster::EtcdClusterSpec;
use muster_api::id::HexId;

use super::*;

struct Case {
    cluster: ValidatedCluster,
    plan: SizePlan,
    pods: Vec<PodView>,
    status: EtcdClusterStatus,
    obstacles: BTreeMap<u32, Obstacle>,
    refusal: Option<&'static str>,
}

/// A cluster of `n` members, at rest.
fn at_rest(n: u32) -> Case {
    let cluster = crate::validate::spec("db", &EtcdClusterSpec::of_size(n as i32)).unwrap();
    let names = cluster.names.clone();
    let pods = (0..n).map(|seat| PodView {
        name: names.pod(seat),
        seat,
        uid: "u".into(),
        ready: true,
        terminating: false,
        revision: None,
        ..PodView::default()
    });
    let members = (0..n).map(|seat| MemberStatus {
        id: HexId(seat.into()),
        name: names.pod(seat),
        peer_url: names.peer_url("http", seat, "ns", "cluster.local"),
        role: Role::Voter,
        started: true,
    });
    let seats = (0..n).map(|seat| SeatStatus {
        name: names.pod(seat),
        phase: SeatPhase::Voter,
        reason: String::new(),
        why: "It votes.".into(),
        member_id: None,
        quorum: Quorum::Ok,
        voters: n as i32,
        version: None,
    });
    let status = EtcdClusterStatus {
        cluster_id: Some(HexId(7)),
        members: members.collect(),
        seats: seats.collect(),
        ..EtcdClusterStatus::default()
    };
    let plan = SizePlan {
        step: SizeStep::Keep,
        adopt: None,
        size: n,
        replicas: n,
        shrink: None,
        why: "Fine.".into(),
    };
    Case {
        plan,
        pods: pods.collect(),
        status,
        cluster,
        obstacles: BTreeMap::new(),
        refusal: None,
    }
}

impl Case {
    fn assess(&self) -> Health {
        self.assess_with(0, false)
    }

    fn assess_with(&self, outdated: usize, record_missing: bool) -> Health {
        assess(&self.input(outdated, record_missing))
    }

    fn input(&self, outdated: usize, record_missing: bool) -> HealthInput<'_> {
        let Self {
            cluster,
            plan,
            pods,
            status,
            obstacles,
            refusal,
        } = self;
        HealthInput {
            cluster,
            plan,
            pods,
            status,
            outdated,
            record_missing,
            record_damage: None,
            obstacles,
            refusal: *refusal,
            mismatch: None,
        }
    }

    /// The case with a seat whose pod something keeps from running.
    fn with_obstacle(mut self, seat: u32, reason: Reason, clause: &str) -> Self {
        self.pods[seat as usize].ready = false;
        let clause = clause.to_owned();
        self.obstacles.insert(seat, Obstacle { reason, clause });
        self
    }
}

impl Health {
    fn holds(&self, kind: &str) -> Option<bool> {
        self.finding(kind).and_then(|finding| finding.holds)
    }

    fn finding(&self, kind: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.kind == kind)
    }
}

#[test]
fn a_cluster_at_rest_is_ready() {
    let health = at_rest(3).assess();
    assert_eq!(health.summary.name(), "Ready");
    assert_eq!(health.holds(READY), Some(true));
    for kind in [PROGRESSING, DEGRADED, QUORUM_LOST] {
        assert_eq!(health.holds(kind), Some(false), "{kind}");
    }
}

#[test]
fn ready_pods_alone_do_not_make_a_cluster_ready() {
    let mut case = at_rest(3);
    case.status.members[2].role = Role::Learner;
    let health = case.assess();
    assert_eq!((health.summary.name(), health.holds(READY)), ("Joining", Some(false)));
    case.status.members.truncate(2);
    assert_eq!(case.assess().summary.name(), "Joining");
}

#[test]
fn a_member_too_many_keeps_the_cluster_from_being_ready() {
    let mut case = at_rest(3);
    case.plan = SizePlan {
        size: 2,
        replicas: 2,
        ..case.plan
    };
    assert_eq!(case.assess().summary.name(), "Leaving");
}

#[test]
fn one_member_down_is_degraded_and_says_which() {
    let mut case = at_rest(3);
    case.pods[1].ready = false;
    case.status.seats[1].why = "It starts.".into();
    let health = case.assess();
    assert_eq!(
        (health.summary.name(), health.holds(DEGRADED), health.holds(READY)),
        ("Degraded", Some(true), Some(false))
    );
    assert_eq!(health.finding(DEGRADED).unwrap().message, "db-1 (Voter): It starts.");
}

#[test]
fn the_reason_of_a_seat_comes_through_even_one_of_another_release() {
    let mut case = at_rest(3);
    case.pods[1].ready = false;
    case.status.seats[1].why = "It starts.".into();
    for reason in ["EtcdStarting", "OfAnotherRelease"] {
        case.status.seats[1].reason = reason.into();
        let health = case.assess();
        let degraded = health.finding(DEGRADED).unwrap();
        assert_eq!(degraded.reason.name(), "MembersNotReady");
        assert_eq!(degraded.message, format!("db-1 (Voter, {reason}): It starts."));
    }
}

#[test]
fn an_etcd_that_does_not_start_is_told_by_its_reason_as_long_as_its_pod_is_not_ready() {
    let mut case = at_rest(3);
    case.pods[1].ready = false;
    case.status.seats[1].reason = "EtcdDoesNotStart".into();
    case.status.seats[1].why = "etcd does not start: no such flag".into();
    let health = case.assess();
    let degraded = health.finding(DEGRADED).unwrap();
    assert_eq!(
        (degraded.reason, health.cause),
        (Reason::EtcdDoesNotStart, Some(Reason::EtcdDoesNotStart))
    );
    assert!(degraded.message.contains("no such flag"), "{}", degraded.message);
    case.pods[1].ready = true;
    assert_eq!(case.assess().holds(DEGRADED), Some(false));
}

#[test]
fn quorum_is_lost_only_if_nobody_sees_one() {
    let mut case = at_rest(3);
    case.status.seats[0].quorum = Quorum::Lost;
    assert_eq!(case.assess().holds(QUORUM_LOST), Some(false));
    for seat in &mut case.status.seats {
        seat.quorum = Quorum::Lost;
    }
    let health = case.assess();
    assert_eq!(
        (health.summary.name(), health.holds(QUORUM_LOST)),
        ("QuorumLost", Some(true))
    );
}

#[test]
fn a_lost_quorum_comes_with_the_next_command() {
    let mut case = at_rest(3);
    case.cluster.namespace = Some("ns".into());
    case.status.seats[0].quorum = Quorum::Lost;
    case.status.seats[0].why = "save its data so and so".into();
    for seat in [1, 2] {
        case.status.seats[seat].quorum = Quorum::Unknown;
        case.status.seats[seat].phase = SeatPhase::Waiting;
        case.status.seats[seat].why = "its volume is empty".into();
    }
    let message = |case: &Case| case.assess().finding(QUORUM_LOST).unwrap().message.clone();
    assert_eq!(
        message(&case),
        "1 of 3 voters answer without a quorum: db-0. It is back as soon as enough of the others are: \
         kubectl --namespace ns get pods --selector app.kubernetes.io/instance=db,app.kubernetes.io/name=etcd. \
         db-0 (Voter): save its data so and so. \
         db-1 (Waiting): its volume is empty. db-2 (Waiting): its volume is empty."
    );
    case.plan.step = SizeStep::Rescue;
    case.plan.why = "Replicas are raised.".into();
    assert!(
        message(&case).starts_with("Replicas are raised. db-1"),
        "{}",
        message(&case)
    );
}

#[test]
fn what_a_seat_said_before_its_pod_went_does_not_count() {
    let mut case = at_rest(3);
    case.status.seats[1].quorum = Quorum::Lost;
    case.status.seats[2].quorum = Quorum::Lost;
    case.pods.remove(0);
    assert_eq!(case.assess().holds(QUORUM_LOST), Some(true));
    case.pods.clear();
    assert_eq!(case.assess().holds(QUORUM_LOST), None);
}

#[test]
fn what_a_seat_saw_before_its_pod_started_again_does_not_count() {
    let mut case = at_rest(3);
    for pod in &mut case.pods {
        pod.ready = false;
    }
    assert_eq!(case.assess().holds(QUORUM_LOST), None);
    case.pods[1].ready = true;
    assert_eq!(case.assess().holds(QUORUM_LOST), Some(false));
}

#[test]
fn a_damaged_record_is_a_degradation_that_says_what_is_wrong() {
    let case = at_rest(3);
    let input = HealthInput {
        record_damage: Some("abandoned cannot be read".into()),
        ..case.input(0, false)
    };
    let health = assess(&input);
    let degraded = health.finding(DEGRADED).unwrap();
    assert_eq!(
        (degraded.holds, degraded.reason.name()),
        (Some(true), "BirthRecordDamaged")
    );
    assert!(degraded.message.contains("abandoned cannot be read"));
}

#[test]
fn a_cluster_without_an_id_is_being_created() {
    let mut case = at_rest(3);
    case.status = EtcdClusterStatus::default();
    case.pods.clear();
    let health = case.assess();
    assert_eq!(
        (health.summary.name(), health.holds(PROGRESSING), health.holds(DEGRADED)),
        ("Creating", Some(true), Some(false))
    );
}

#[test]
fn hibernation_is_neither_ready_nor_degraded() {
    let mut case = at_rest(0);
    case.status.cluster_id = Some(HexId(7));
    let health = case.assess();
    assert_eq!(health.summary.name(), "Hibernated");
    assert_eq!(
        (health.holds(READY), health.holds(DEGRADED)),
        (Some(false), Some(false))
    );
    let message = |health: Health| {
        health
            .findings
            .into_iter()
            .find(|one| one.kind == READY)
            .unwrap()
            .message
    };
    assert!(message(health).contains("all its data is kept"));
    case.cluster.claim = None;
    assert!(message(case.assess()).contains("its data went with them"));
}

#[test]
fn a_step_is_shown_with_its_reason() {
    let mut case = at_rest(5);
    case.plan = SizePlan {
        step: SizeStep::AwaitMembers,
        size: 3,
        why: "Two leave.".into(),
        ..case.plan
    };
    let health = case.assess();
    assert_eq!((health.summary.name(), health.holds(READY)), ("Shrinking", Some(false)));
    assert_eq!(health.finding(PROGRESSING).unwrap().message, "Two leave.");
}

#[test]
fn a_refused_seat_and_a_missing_record_are_degradations() {
    let mut case = at_rest(3);
    assert_eq!(
        case.assess_with(0, true).finding(DEGRADED).unwrap().reason.name(),
        "BirthRecordMissing"
    );
    case.status.seats[2].phase = SeatPhase::Refused;
    assert_eq!(case.assess().finding(DEGRADED).unwrap().reason.name(), "SeatRefused");
}

/// A cluster of which every seat found an empty volume.
fn all_gone() -> Case {
    let mut case = at_rest(3);
    for (pod, seat) in case.pods.iter_mut().zip(&mut case.status.seats) {
        pod.ready = false;
        seat.phase = SeatPhase::Lost;
        seat.quorum = Quorum::Unknown;
        seat.why = "it is lost: kubectl patch configmap db-birth".into();
    }
    case
}

#[test]
fn a_cluster_whose_every_volume_is_gone_is_lost_until_a_person_decides() {
    let health = all_gone().assess();
    assert_eq!(health.summary.name(), "Lost");
    for kind in [DEGRADED, QUORUM_LOST, STALLED] {
        let finding = health.finding(kind).unwrap();
        assert_eq!(
            (finding.holds, finding.reason.name()),
            (Some(true), "ClusterLost"),
            "{kind}"
        );
        assert!(finding.message.contains("kubectl patch"), "{}", finding.message);
    }
    for kind in [READY, PROGRESSING] {
        assert_eq!(health.holds(kind), Some(false), "{kind}");
    }
}

/// The published members are of the past, and so may be the cluster's ID, if it was claimed and never formed.
#[test]
fn a_founding_whose_volume_is_gone_is_lost_and_not_being_created() {
    let mut case = all_gone();
    case.status.cluster_id = None;
    case.status.members.clear();
    assert_eq!(case.assess().summary.name(), "Lost");
}

#[test]
fn a_cluster_is_not_lost_while_a_member_runs_or_pods_are_added() {
    for quorum in [Quorum::Ok, Quorum::Lost] {
        let mut case = all_gone();
        case.status.seats[1].quorum = quorum;
        assert_ne!(case.assess().summary.name(), "Lost", "{quorum:?}");
    }
    let mut case = all_gone();
    case.plan.step = SizeStep::Grow;
    assert_eq!(case.assess().summary.name(), "Growing");
    assert_eq!(case.assess().finding(STALLED), None);
}

#[test]
fn what_a_seat_said_of_the_loss_before_its_pod_went_does_not_count() {
    let mut case = all_gone();
    case.pods.clear();
    assert_ne!(case.assess().summary.name(), "Lost");
}

#[test]
fn pods_that_wait_to_be_replaced_are_progress() {
    let health = at_rest(3).assess_with(2, false);
    assert_eq!(
        (health.summary.name(), health.holds(DEGRADED)),
        ("Updating", Some(false))
    );
}

#[test]
fn even_sizes_and_defective_versions_are_warned_about() {
    assert_eq!(at_rest(3).assess().finding(EVEN_SIZE), None);
    assert_eq!(at_rest(1).assess().finding(EVEN_SIZE), None);
    assert_eq!(at_rest(4).assess().holds(EVEN_SIZE), Some(true));
    let mut old = at_rest(3);
    assert_eq!(old.assess().finding(VERSION_ADVISORY), None);
    old.cluster.version = "3.5.21".parse().unwrap();
    assert_eq!(old.assess().holds(VERSION_ADVISORY), Some(true));
}

#[test]
fn members_that_share_a_node_are_warned_about_and_nothing_else() {
    let on = |nodes: &[&str]| {
        let mut case = at_rest(nodes.len() as u32);
        for (pod, node) in case.pods.iter_mut().zip(nodes) {
            pod.node = Some((*node).to_owned());
        }
        case
    };
    let told = |case: &Case| {
        case.assess()
            .finding(SHARED_NODE)
            .map(|finding| finding.message.clone())
    };
    assert_eq!(told(&on(&["a", "b", "c"])), None);
    assert_eq!(told(&at_rest(3)), None);
    let three = told(&on(&["a", "b", "a"])).unwrap();
    assert!(
        three.starts_with("db-0 and db-2 run on node a: its loss costs the quorum. "),
        "{three}"
    );
    let five = told(&on(&["a", "b", "b", "c", "d"])).unwrap();
    assert!(
        five.starts_with("db-1 and db-2 run on node b: its loss costs 2 of 5 members. "),
        "{five}"
    );
    let health = on(&["a", "a", "a"]).assess();
    assert_eq!((health.summary.name(), health.holds(DEGRADED)), ("Ready", Some(false)));
    let mut moving = on(&["a", "a"]);
    moving.pods[1].terminating = true;
    assert_eq!(told(&moving), None);
}
