//! One test for each situation of sizing.

use std::collections::BTreeSet;

use super::*;
use crate::plan::size_input::AppliedSize;

/// A cluster at rest with `n` seats, all voters and ready.
fn at_rest(n: u32) -> SizeInput {
    let seat = SeatView {
        quorum: Quorum::Ok,
        voters: n,
    };
    SizeInput {
        size: n,
        set: Some(SetState {
            replicas: n,
            applied: Some(AppliedSize { replicas: n, size: n }),
            shrink: None,
        }),
        formed: true,
        members: (0..n).collect(),
        voters: (0..n).collect(),
        seats: (0..n).map(|i| (i, seat)).collect(),
        pods: (0..n).collect(),
        ready: (0..n).collect(),
    }
}

fn set(input: &mut SizeInput) -> &mut SetState {
    input.set.as_mut().unwrap()
}

/// Writes a plan down, as the operator does.
fn write(input: &mut SizeInput, plan: &SizePlan) {
    input.size = plan.size;
    input.set = Some(SetState {
        replicas: plan.replicas,
        applied: Some(AppliedSize {
            replicas: plan.replicas,
            size: plan.size,
        }),
        shrink: plan.shrink,
    });
}

fn outcome(input: &SizeInput) -> (SizeStep, u32, Option<String>) {
    let plan = plan(input);
    (plan.step, plan.replicas, plan.shrink.map(|shrink| shrink.to_string()))
}

impl SizePlan {
    /// The number of seats that the StatefulSet wants once the plan is written.
    fn wanted(&self) -> u32 {
        let counts = self.shrink.filter(|shrink| shrink.from() == self.replicas);
        counts.map_or(self.replicas, Shrink::to)
    }
}

#[test]
fn a_new_cluster_gets_all_its_pods_at_once() {
    let input = SizeInput {
        size: 3,
        ..SizeInput::default()
    };
    assert_eq!(outcome(&input), (SizeStep::Create, 3, None));
}

#[test]
fn a_new_cluster_of_size_zero_has_no_pods() {
    let input = SizeInput {
        size: 0,
        pods: [0, 1].into(),
        ..SizeInput::default()
    };
    assert_eq!(outcome(&input), (SizeStep::Create, 0, None));
}

#[test]
fn pods_that_a_deleted_stateful_set_left_behind_are_taken_over() {
    let input = SizeInput {
        size: 3,
        formed: true,
        pods: [0, 1, 4].into(),
        ..SizeInput::default()
    };
    assert_eq!(outcome(&input), (SizeStep::Create, 5, None));
}

#[test]
fn a_cluster_at_rest_is_left_alone() {
    for n in 0..=9 {
        assert_eq!(outcome(&at_rest(n)), (SizeStep::Keep, n, None));
        assert_eq!(plan(&at_rest(n)).adopt, None);
    }
}

#[test]
fn growing_does_not_wait_for_anything() {
    let mut input = SizeInput {
        size: 5,
        ready: BTreeSet::new(),
        ..at_rest(1)
    };
    assert_eq!(outcome(&input), (SizeStep::Grow, 5, None));
    input.formed = false;
    assert_eq!(outcome(&input), (SizeStep::Grow, 5, None));
}

#[test]
fn a_shrink_is_announced_while_all_pods_stay() {
    let input = SizeInput { size: 3, ..at_rest(5) };
    assert_eq!(outcome(&input), (SizeStep::AnnounceShrink, 5, Some("5->3".to_owned())));
    assert_eq!(plan(&input).wanted(), 3);
}

#[test]
fn a_shrink_starts_only_when_the_seats_that_stay_are_ready() {
    let mut input = SizeInput { size: 3, ..at_rest(5) };
    input.ready.remove(&1);
    assert_eq!(outcome(&input), (SizeStep::AwaitReady, 5, None));
    assert!(plan(&input).why.contains("seat 1 is not"));
}

#[test]
fn a_shrink_does_not_start_while_a_seat_that_stays_misses_the_quorum() {
    let mut input = SizeInput { size: 3, ..at_rest(5) };
    input.seats.insert(
        0,
        SeatView {
            quorum: Quorum::Lost,
            voters: 5,
        },
    );
    assert_eq!(outcome(&input).0, SizeStep::AwaitReady);
}

#[test]
fn a_shrink_does_not_wait_for_the_seats_that_go() {
    let mut input = SizeInput { size: 3, ..at_rest(5) };
    input.ready = [0, 1, 2].into();
    assert_eq!(outcome(&input).0, SizeStep::AnnounceShrink);
}

#[test]
fn pods_stay_until_every_unwanted_member_is_gone() {
    let mut input = SizeInput { size: 3, ..at_rest(5) };
    let announcement = plan(&input);
    write(&mut input, &announcement);
    assert_eq!(outcome(&input), (SizeStep::AwaitMembers, 5, Some("5->3".to_owned())));
    input.members.remove(&4);
    assert_eq!(outcome(&input), (SizeStep::AwaitMembers, 5, Some("5->3".to_owned())));
    assert!(plan(&input).why.contains("seat 3 must leave"));
    input.members.remove(&3);
    assert_eq!(outcome(&input), (SizeStep::Lower, 3, None));
}

#[test]
fn lowering_replicas_and_dropping_the_announcement_is_one_write() {
    let mut input = SizeInput { size: 1, ..at_rest(3) };
    set(&mut input).shrink = Shrink::new(3, 1);
    input.members = [0].into();
    let lower = plan(&input);
    assert_eq!((lower.step, lower.replicas, lower.shrink), (SizeStep::Lower, 1, None));
    write(&mut input, &lower);
    assert_eq!(outcome(&input), (SizeStep::Keep, 1, None));
}

#[test]
fn a_shrink_that_has_begun_goes_on_when_a_seat_that_stays_becomes_unready() {
    let mut input = SizeInput { size: 3, ..at_rest(5) };
    set(&mut input).shrink = Shrink::new(5, 3);
    input.ready.remove(&0);
    assert_eq!(outcome(&input), (SizeStep::AwaitMembers, 5, Some("5->3".to_owned())));
}

#[test]
fn a_deeper_shrink_waits_until_its_own_seats_are_ready() {
    let mut input = SizeInput { size: 1, ..at_rest(5) };
    set(&mut input).shrink = Shrink::new(5, 3);
    assert_eq!(outcome(&input), (SizeStep::AnnounceShrink, 5, Some("5->1".to_owned())));
    input.ready.remove(&0);
    assert_eq!(outcome(&input), (SizeStep::AwaitReady, 5, Some("5->3".to_owned())));
}

#[test]
fn a_seat_that_is_wanted_again_is_spared_at_once() {
    let mut input = SizeInput { size: 4, ..at_rest(5) };
    set(&mut input).shrink = Shrink::new(5, 3);
    input.ready = [0].into();
    assert_eq!(outcome(&input), (SizeStep::AnnounceShrink, 5, Some("5->4".to_owned())));
}

#[test]
fn a_shrink_is_called_off_when_the_size_goes_back() {
    let mut input = at_rest(5);
    set(&mut input).shrink = Shrink::new(5, 3);
    assert_eq!(outcome(&input), (SizeStep::Keep, 5, None));
    input.size = 7;
    assert_eq!(outcome(&input), (SizeStep::Grow, 7, None));
}

#[test]
fn a_shrink_of_an_earlier_size_is_dropped() {
    let mut input = at_rest(3);
    set(&mut input).shrink = Shrink::new(5, 3);
    assert_eq!(outcome(&input), (SizeStep::Keep, 3, None));
}

#[test]
fn a_cluster_that_was_never_formed_shrinks_without_members() {
    let input = SizeInput {
        size: 1,
        formed: false,
        ready: BTreeSet::new(),
        ..at_rest(3)
    };
    assert_eq!(outcome(&input), (SizeStep::Lower, 1, None));
}

#[test]
fn a_stateful_set_that_was_scaled_directly_sets_the_size() {
    for (from, to) in [(1, 3), (3, 5), (5, 1), (3, 0), (0, 3)] {
        let mut input = at_rest(from);
        set(&mut input).replicas = to;
        let plan = plan(&input);
        assert_eq!(
            (plan.adopt, plan.size, plan.replicas, plan.shrink),
            (Some(to), to, to, None),
            "{from} to {to}"
        );
    }
}

#[test]
fn a_size_that_was_adopted_is_kept() {
    let mut input = at_rest(3);
    set(&mut input).replicas = 5;
    let adoption = plan(&input);
    write(&mut input, &adoption);
    assert_eq!(plan(&input).adopt, None);
    assert_eq!(outcome(&input), (SizeStep::Keep, 5, None));
}

#[test]
fn the_size_wins_when_both_it_and_the_stateful_set_changed() {
    let mut input = SizeInput { size: 1, ..at_rest(3) };
    set(&mut input).replicas = 5;
    let plan = plan(&input);
    assert_eq!((plan.adopt, plan.size), (None, 1));
    assert_eq!((plan.replicas, plan.shrink), (5, Shrink::new(5, 1)));
}

#[test]
fn an_adoption_that_was_interrupted_after_its_first_write_is_completed() {
    let mut input = SizeInput { size: 5, ..at_rest(3) };
    set(&mut input).replicas = 5;
    let plan = plan(&input);
    assert_eq!(
        (plan.step, plan.adopt, plan.size, plan.replicas),
        (SizeStep::Keep, None, 5, 5)
    );
}

#[test]
fn scaling_directly_during_a_shrink_sets_the_size_and_drops_the_announcement() {
    let mut input = SizeInput { size: 3, ..at_rest(5) };
    let announcement = plan(&input);
    write(&mut input, &announcement);
    set(&mut input).replicas = 4;
    let plan = plan(&input);
    assert_eq!((plan.adopt, plan.replicas, plan.shrink), (Some(4), 4, None));
}

#[test]
fn scaling_directly_to_the_target_of_a_shrink_completes_it() {
    let mut input = SizeInput { size: 3, ..at_rest(5) };
    let announcement = plan(&input);
    write(&mut input, &announcement);
    set(&mut input).replicas = 3;
    let plan = plan(&input);
    assert_eq!((plan.adopt, plan.replicas, plan.shrink), (None, 3, None));
}

#[test]
fn replicas_beyond_the_largest_size_are_not_adopted() {
    let mut input = at_rest(3);
    set(&mut input).replicas = 12;
    let plan = plan(&input);
    assert_eq!((plan.adopt, plan.size, plan.shrink), (None, 3, Shrink::new(12, 3)));
    assert!(
        plan.why.contains("12 replicas is not adopted") && plan.why.contains("9 members"),
        "{}",
        plan.why
    );
}

#[test]
fn without_a_memory_of_what_was_applied_the_size_wins() {
    let mut input = at_rest(3);
    *set(&mut input) = SetState {
        replicas: 1,
        applied: None,
        shrink: None,
    };
    assert_eq!(outcome(&input), (SizeStep::Grow, 3, None));
    assert_eq!(plan(&input).adopt, None);
}

#[test]
fn hibernation_removes_all_pods_and_no_member() {
    let mut input = SizeInput { size: 0, ..at_rest(3) };
    assert_eq!(outcome(&input), (SizeStep::Hibernate, 0, None));
    input.ready = BTreeSet::new();
    set(&mut input).shrink = Shrink::new(3, 1);
    assert_eq!(outcome(&input), (SizeStep::Hibernate, 0, None));
}

#[test]
fn a_hibernated_cluster_wakes_with_the_size_that_is_asked_for() {
    for size in [1, 3, 5] {
        let mut input = SizeInput { size, ..at_rest(3) };
        *set(&mut input) = SetState {
            replicas: 0,
            applied: Some(AppliedSize { replicas: 0, size: 0 }),
            shrink: None,
        };
        (input.pods, input.ready, input.seats) = Default::default();
        assert_eq!(outcome(&input), (SizeStep::Wake, size, None));
    }
}

/// A cluster of `voters`, of which `n` pods are left after a direct scale-down
/// whose hooks could not run.
fn stranded(n: u32, voters: u32) -> SizeInput {
    let seat = SeatView {
        quorum: Quorum::Lost,
        voters,
    };
    SizeInput {
        members: (0..voters).collect(),
        seats: (0..n).map(|i| (i, seat)).collect(),
        ready: BTreeSet::new(),
        ..at_rest(n)
    }
}

#[test]
fn a_stranded_seat_gets_a_quorum_of_its_voters_back() {
    assert_eq!(outcome(&stranded(1, 5)), (SizeStep::Rescue, 3, None));
    assert_eq!(outcome(&stranded(1, 3)), (SizeStep::Rescue, 2, None));
    assert_eq!(outcome(&stranded(2, 9)), (SizeStep::Rescue, 5, None));
}

#[test]
fn a_rescue_brings_at_least_the_size_that_is_asked_for() {
    assert_eq!(
        outcome(&SizeInput {
            size: 5,
            ..stranded(1, 3)
        }),
        (SizeStep::Rescue, 5, None)
    );
}

#[test]
fn a_quorum_that_is_lost_with_enough_pods_is_not_a_matter_of_size() {
    for (pods, voters) in [(3, 3), (3, 5), (2, 3), (2, 2), (1, 1)] {
        assert_eq!(
            outcome(&stranded(pods, voters)).0,
            SizeStep::Keep,
            "{pods} pods, {voters} voters"
        );
    }
}

/// Seat 1 had lost its volume when the StatefulSet was scaled down directly.
#[test]
fn a_rescue_reaches_the_seats_that_vote() {
    let mut input = stranded(1, 3);
    input.voters = [0, 2, 3].into();
    assert_eq!(outcome(&input), (SizeStep::Rescue, 3, None));
    let mut input = stranded(2, 3);
    input.voters = [0, 2, 3].into();
    assert_eq!(outcome(&input), (SizeStep::Rescue, 3, None));
    // What was published is not what the seat knows: it is older, or newer.
    input.voters = [0, 2, 3, 4].into();
    assert_eq!(outcome(&input).0, SizeStep::Keep);
}

#[test]
fn a_seat_that_knows_no_voters_calls_for_no_rescue() {
    assert_eq!(outcome(&stranded(1, 0)).0, SizeStep::Keep);
}

#[test]
fn a_seat_above_the_replicas_calls_for_no_rescue() {
    let mut input = at_rest(1);
    input.seats.insert(
        4,
        SeatView {
            quorum: Quorum::Lost,
            voters: 5,
        },
    );
    assert_eq!(outcome(&input).0, SizeStep::Keep);
}

#[test]
fn a_rescue_ends_at_the_size_that_was_asked_for() {
    let mut input = stranded(1, 5);
    let rescue = plan(&input);
    write(&mut input, &SizePlan { size: 1, ..rescue });
    assert_eq!(outcome(&input).0, SizeStep::AwaitReady, "no quorum yet");
    for seat in 0..3 {
        input.seats.insert(
            seat,
            SeatView {
                quorum: Quorum::Ok,
                voters: 5,
            },
        );
        input.ready.insert(seat);
        input.pods.insert(seat);
    }
    let announcement = plan(&input);
    assert_eq!(
        (announcement.step, announcement.shrink),
        (SizeStep::AnnounceShrink, Shrink::new(3, 1))
    );
    write(&mut input, &announcement);
    input.members = [0, 1, 2].into();
    assert_eq!(outcome(&input), (SizeStep::AwaitMembers, 3, Some("3->1".to_owned())));
    input.members = [0].into();
    assert_eq!(outcome(&input), (SizeStep::Lower, 1, None));
}

/// Whatever was read, a plan wants at least one seat of a cluster whose size
/// is not 0, takes pods away from a formed cluster only when their members
/// are gone or it goes to sleep, and announces only what counts.
#[test]
fn every_plan_is_sound() {
    let quorums = [Quorum::Ok, Quorum::Lost, Quorum::Unknown];
    let shrinks = [None, Shrink::new(5, 3), Shrink::new(3, 1), Shrink::new(5, 1)];
    let mut checked = 0;
    for size in 0..=5 {
        for replicas in 0..=5 {
            for (applied_replicas, applied_size) in (0..=5).flat_map(|r| (0..=5).map(move |s| (r, s))) {
                for shrink in shrinks {
                    for members in [0..0, 0..1, 0..3, 0..5] {
                        for quorum in quorums {
                            let applied = Some(AppliedSize {
                                replicas: applied_replicas,
                                size: applied_size,
                            });
                            let view = SeatView {
                                quorum,
                                voters: members.end,
                            };
                            let input = SizeInput {
                                size,
                                set: Some(SetState {
                                    replicas,
                                    applied,
                                    shrink,
                                }),
                                formed: true,
                                members: members.clone().collect(),
                                voters: members.clone().collect(),
                                seats: (0..replicas).map(|seat| (seat, view)).collect(),
                                pods: (0..replicas).collect(),
                                ready: (0..replicas).collect(),
                            };
                            sound(&input, &plan(&input));
                            checked += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(checked, 6 * 6 * 36 * 4 * 4 * 3);
}

fn sound(input: &SizeInput, plan: &SizePlan) {
    let replicas = input.set.unwrap().replicas;
    let context = format!("{input:?}\n{plan:?}");
    assert_eq!(plan.replicas == 0, plan.size == 0, "{context}");
    assert_eq!(plan.size, plan.adopt.unwrap_or(input.size), "{context}");
    if plan.replicas != 0 && plan.replicas < replicas {
        assert!(input.members.iter().all(|seat| *seat < plan.replicas), "{context}");
    }
    if let Some(shrink) = plan.shrink {
        assert_eq!(shrink.from(), plan.replicas, "{context}");
        assert!(plan.wanted() >= 1 && plan.wanted() < plan.replicas, "{context}");
    }
    assert!(plan.why.ends_with('.'), "{context}");
}
