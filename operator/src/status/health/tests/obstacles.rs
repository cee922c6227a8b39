//! Pods that cannot run: told in one word and in a sentence, whatever else is under way, and no longer than it lasts.

use super::*;

const NO_NODE: &str = "the scheduler finds no node: 0/3 nodes are available";

#[test]
fn what_keeps_a_pod_from_running_is_told_instead_of_what_its_agent_last_said() {
    let health = at_rest(3).with_obstacle(1, Reason::Unschedulable, NO_NODE).assess();
    for kind in [READY, DEGRADED] {
        let told = health.finding(kind).unwrap();
        assert_eq!(
            (told.reason, told.message.as_str()),
            (
                Reason::Unschedulable,
                "db-1: the scheduler finds no node: 0/3 nodes are available."
            ),
            "{kind}"
        );
    }
    assert_eq!((health.holds(READY), health.holds(DEGRADED)), (Some(false), Some(true)));
    assert_eq!(
        (health.summary, health.cause),
        (Summary::Degraded, Some(Reason::Unschedulable))
    );
}

#[test]
fn a_cluster_that_is_being_created_is_degraded_when_its_pods_cannot_run() {
    let mut case = at_rest(3).with_obstacle(0, Reason::FailedCreate, "Kubernetes cannot create the pod: no quota");
    case.status = EtcdClusterStatus::default();
    for pod in &mut case.pods {
        pod.ready = false;
    }
    let health = case.assess();
    assert_eq!(
        (health.summary, health.cause),
        (Summary::Creating, Some(Reason::FailedCreate))
    );
    let degraded = health.finding(DEGRADED).unwrap();
    assert_eq!((degraded.holds, degraded.reason), (Some(true), Reason::FailedCreate));
    let progressing = health.finding(PROGRESSING).unwrap();
    assert_eq!((progressing.holds, progressing.reason), (Some(true), Reason::Creating));
    assert_eq!(
        progressing.message, "db-0: Kubernetes cannot create the pod: no quota.",
        "once, not twice"
    );
}

#[test]
fn a_step_names_what_holds_it_up() {
    let mut case = at_rest(3).with_obstacle(
        2,
        Reason::ImagePullBackOff,
        "the image of container etcd cannot be pulled",
    );
    case.plan.step = SizeStep::Grow;
    case.plan.why = "Replicas go from 2 to 3.".into();
    let health = case.assess();
    assert_eq!(health.holds(DEGRADED), Some(true));
    assert_eq!(
        health.finding(PROGRESSING).unwrap().message,
        "Replicas go from 2 to 3. db-2: the image of container etcd cannot be pulled."
    );
}

#[test]
fn an_obstacle_is_forgotten_when_the_pod_is_ready_and_when_its_seat_is_not_wanted() {
    let mut case = at_rest(3).with_obstacle(1, Reason::OOMKilled, "container etcd was killed");
    case.pods[1].ready = true;
    let health = case.assess();
    assert_eq!((health.summary, health.cause), (Summary::Ready, None));
    assert_eq!(health.holds(DEGRADED), Some(false));
    let mut case = at_rest(5).with_obstacle(4, Reason::OOMKilled, "container etcd was killed");
    case.plan.size = 3;
    assert_eq!(case.assess().cause, None);
}

#[test]
fn a_lost_quorum_names_the_obstacles_of_the_pods_that_are_missed() {
    let mut case = at_rest(3)
        .with_obstacle(1, Reason::Unschedulable, NO_NODE)
        .with_obstacle(2, Reason::FailedCreate, "Kubernetes cannot create the pod: no quota");
    // The pod of seat 2 is not there at all; the agent of seat 1 said something before its pod went.
    case.pods.truncate(2);
    case.pods[0].ready = false;
    for seat in &mut case.status.seats {
        seat.quorum = Quorum::Unknown;
    }
    case.status.seats[0].quorum = Quorum::Lost;
    let health = case.assess();
    assert_eq!(
        (health.summary, health.cause),
        (Summary::QuorumLost, Some(Reason::Unschedulable))
    );
    let lost = health.finding(QUORUM_LOST).unwrap();
    assert_eq!(lost.reason, Reason::QuorumLost);
    for words in [
        "1 of 3 voters",
        "db-1: the scheduler finds no node",
        "db-2: Kubernetes cannot create",
    ] {
        assert!(lost.message.contains(words), "{words}: {}", lost.message);
    }
    assert!(!lost.message.contains("db-1 (Voter)"), "{}", lost.message);
}

#[test]
fn an_eviction_that_is_refused_is_told_while_pods_wait_to_be_replaced() {
    let mut case = at_rest(3);
    case.refusal = Some("db-2 cannot be evicted in order to be replaced: more than one PodDisruptionBudget.");
    let health = case.assess_with(3, false);
    assert_eq!(
        (health.summary, health.cause),
        (Summary::Updating, Some(Reason::EvictionRefused))
    );
    let degraded = health.finding(DEGRADED).unwrap();
    assert_eq!(degraded.holds, Some(true));
    assert!(
        degraded.message.ends_with("more than one PodDisruptionBudget."),
        "{}",
        degraded.message
    );
    assert!(
        health
            .finding(PROGRESSING)
            .unwrap()
            .message
            .contains("db-2 cannot be evicted")
    );
}

#[test]
fn a_step_that_waits_for_several_pods_says_of_each_once() {
    let mut case = at_rest(3)
        .with_obstacle(0, Reason::Unschedulable, NO_NODE)
        .with_obstacle(2, Reason::OOMKilled, "container etcd was killed");
    case.status.cluster_id = None;
    case.pods[1].ready = false;
    let progressing = case.assess().finding(PROGRESSING).unwrap().message.clone();
    for words in [NO_NODE, "db-1 (Voter)", "container etcd was killed"] {
        assert_eq!(progressing.matches(words).count(), 1, "{words}: {progressing}");
    }
}
