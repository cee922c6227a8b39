//! Changes of a seat that become Events, and routine that does not.

use std::collections::BTreeMap;

use muster_membership::{ClusterId, EtcdStatus, Identity, Launcher, Me, Member, MemberList, Reading, Wanted, Workload};

use super::*;

const CLUSTER: ClusterId = ClusterId(1);

/// Seat 0 of three that are wanted; seats 0 to 3 have members 10 to 13, of which 12 learns.
fn seen() -> Observed {
    let members: BTreeMap<_, _> = (0..4)
        .map(|seat| {
            let member = Member {
                seat: Some(Seat(seat)),
                name: format!("c-{seat}"),
                peer_urls: vec![],
                learner: seat == 2,
            };
            (MemberId(10 + u64::from(seat)), member)
        })
        .collect();
    let own = EtcdStatus {
        identity: Identity {
            member: MemberId(10),
            cluster: CLUSTER,
        },
        leader: Some(MemberId(10)),
        learner: false,
        applied: 5,
    };
    let me = Me {
        seat: Seat(0),
        name: "c-0".into(),
        peer_url: String::new(),
        volume: "v".into(),
    };
    let list = MemberList {
        cluster: CLUSTER,
        members,
    };
    Observed {
        launcher: Launcher::Running,
        workload: Reading::saw(Time(0), Workload::Wants(Wanted(3))),
        local: Reading::saw(Time(0), own),
        list: Reading::saw(Time(0), list),
        ..Observed::nothing_yet(me, String::new())
    }
}

fn removal(member: u64) -> Option<(&'static str, Seat)> {
    let step = Action::Remove {
        member: MemberId(member),
    };
    event_of_step(&step, &seen(), "why").map(|event| (event.reason.name(), event.seat))
}

/// The reasons of the Events after one more look.
fn look(log: &mut EventLog, at: u64, phase: Phase, quorum: Quorum) -> Vec<&'static str> {
    let events = log.state_seen(phase, quorum, "for a reason", Seat(0), Time(at));
    events.into_iter().map(|event| event.reason.name()).collect()
}

#[test]
fn at_rest_there_is_no_news() {
    let mut log = EventLog::default();
    for at in 0..10 {
        assert!(look(&mut log, at * 200_000, Phase::Voter, Quorum::Ok).is_empty());
    }
}

#[test]
fn waiting_for_something_else_is_no_news() {
    let mut log = EventLog::default();
    for phase in [Phase::Waiting, Phase::Joining, Phase::Learner] {
        assert!(look(&mut log, 0, phase, Quorum::Unknown).is_empty(), "{phase:?}");
    }
}

#[test]
fn a_seat_that_gets_its_vote_says_so_once() {
    let mut log = EventLog::default();
    look(&mut log, 0, Phase::Learner, Quorum::Ok);
    assert_eq!(look(&mut log, 1, Phase::Voter, Quorum::Ok), ["Promoted"]);
    assert!(look(&mut log, 2, Phase::Voter, Quorum::Ok).is_empty());
}

#[test]
fn a_restarted_agent_has_nothing_to_say_of_a_member_that_serves_or_leaves() {
    for phase in [Phase::Voter, Phase::Leaving, Phase::Left, Phase::Learner] {
        assert!(
            look(&mut EventLog::default(), 0, phase, Quorum::Ok).is_empty(),
            "{phase:?}"
        );
    }
}

#[test]
fn refusal_and_loss_are_told_even_if_they_are_the_first_thing_seen() {
    assert_eq!(
        look(&mut EventLog::default(), 0, Phase::Refused, Quorum::Unknown),
        ["Refused"]
    );
    assert_eq!(
        look(&mut EventLog::default(), 0, Phase::Lost, Quorum::Unknown),
        ["ClusterLost"]
    );
}

#[test]
fn what_comes_and_goes_is_told_again_only_after_a_while() {
    let mut log = EventLog::default();
    assert_eq!(look(&mut log, 0, Phase::Lost, Quorum::Unknown), ["ClusterLost"]);
    look(&mut log, 1, Phase::Waiting, Quorum::Unknown);
    assert!(look(&mut log, 2, Phase::Lost, Quorum::Unknown).is_empty());
    look(&mut log, 3, Phase::Waiting, Quorum::Unknown);
    assert_eq!(look(&mut log, 600_000, Phase::Lost, Quorum::Unknown), ["ClusterLost"]);
}

#[test]
fn a_member_that_comes_back_says_so_when_it_serves_and_not_before() {
    let mut log = EventLog::default();
    log.step_done(&Action::Start(StartPlan::Resume), None, Time(0));
    assert!(look(&mut log, 1, Phase::Joining, Quorum::Unknown).is_empty());
    assert!(look(&mut log, 2, Phase::Voter, Quorum::Unknown).is_empty());
    assert_eq!(look(&mut log, 3, Phase::Voter, Quorum::Ok), ["Resumed"]);
    assert!(look(&mut log, 4, Phase::Voter, Quorum::Ok).is_empty());
}

#[test]
fn a_lost_quorum_is_told_and_so_is_its_return() {
    let mut log = EventLog::default();
    look(&mut log, 0, Phase::Voter, Quorum::Ok);
    assert_eq!(look(&mut log, 1, Phase::Voter, Quorum::Lost), ["NoQuorum"]);
    // etcd restarts.
    assert!(look(&mut log, 2, Phase::Joining, Quorum::Unknown).is_empty());
    assert!(look(&mut log, 3, Phase::Voter, Quorum::Lost).is_empty());
    assert_eq!(look(&mut log, 4, Phase::Voter, Quorum::Ok), ["QuorumBack"]);
    // It comes and goes.
    assert!(look(&mut log, 5, Phase::Voter, Quorum::Lost).is_empty());
    assert!(look(&mut log, 6, Phase::Voter, Quorum::Ok).is_empty());
    assert!(look(&mut log, 7, Phase::Voter, Quorum::Lost).is_empty());
    // It stays away.
    let later = 1 + 60_000;
    assert_eq!(look(&mut log, later, Phase::Voter, Quorum::Lost), ["NoQuorum"]);
    assert_eq!(look(&mut log, later + 1, Phase::Voter, Quorum::Ok), ["QuorumBack"]);
}

#[test]
fn a_removal_is_told_by_what_it_is() {
    assert_eq!(removal(13), Some(("MemberRemoved", Seat(3))));
    assert_eq!(removal(12), Some(("LearnerEvicted", Seat(2))));
    // Its own: told when it is done, as having left.
    assert_eq!(removal(10), None);
    let mut empty = seen();
    empty.local = Reading::default();
    let own = Action::Remove { member: MemberId(10) };
    assert_eq!(
        event_of_step(&own, &empty, "").map(|event| event.reason.name()),
        Some("MemberReplaced")
    );
}

#[test]
fn two_members_are_two_pieces_of_news() {
    let (mut log, step) = (EventLog::default(), |member| Action::Remove { member });
    for member in [MemberId(13), MemberId(12)] {
        let event = event_of_step(&step(member), &seen(), "");
        assert!(log.step_done(&step(member), event.clone(), Time(0)).is_some());
        assert!(log.step_done(&step(member), event, Time(1)).is_none());
    }
}

#[test]
fn corrupt_data_is_told_with_its_reason_and_routine_is_not() {
    let corrupt = event_of_step(&Action::Archive(ArchiveReason::Corrupt), &seen(), "it cannot be opened").unwrap();
    assert_eq!((corrupt.warning, corrupt.note.as_str()), (true, "it cannot be opened"));
    for step in [
        Action::NoteWal,
        Action::PruneArchives,
        Action::Start(StartPlan::Resume),
        Action::ReleaseHook { left: false },
        Action::MoveLeader { to: MemberId(11) },
    ] {
        assert_eq!(event_of_step(&step, &seen(), ""), None, "{step:?}");
    }
}
