//! The choice of the next pod, and its conditions.

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
        ..PodView::default()
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
