//! Properties of the core over arbitrary observations, coherent or not.
//!
//! `rules` states the invariants once more, without the core's own guards: what must have been seen,
//! lately, for each action to be right. `arbitrary` makes the observations.

mod arbitrary;
mod rules;

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::{NOW, observed};
use muster_membership::timing::READ_TIMEOUT;
use muster_membership::*;
use muster_reasons::Place;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

proptest! {
    #![proptest_config(Config { cases: 20_000, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() })]

    #[test]
    fn every_action_rests_on_what_was_seen(o in observed(), m in arbitrary::memory()) {
        let decision = decide(&o, &m, NOW);
        if let Err(why) = rules::check(&o, &m, &decision) {
            return Err(TestCaseError::fail(format!("{why}\n{decision:#?}")));
        }
    }

    #[test]
    fn the_same_observation_gives_the_same_decision(o in observed(), m in arbitrary::memory()) {
        prop_assert_eq!(decide(&o, &m, NOW), decide(&o.clone(), &m.clone(), NOW));
    }

    #[test]
    fn what_is_not_known_moves_nothing(o in observed(), m in arbitrary::memory(), how in 0..3u8, at in 0..4_000u64) {
        let decision = decide(&arbitrary::blinded(&o, how, at), &m, NOW);
        for action in &decision.actions {
            let harmless = matches!(
                action,
                Action::Start(StartPlan::Resume)
                    | Action::NoteWal
                    | Action::PruneArchives
                    | Action::ReleaseHook { .. }
                    | Action::Archive(ArchiveReason::LostWal)
            );
            prop_assert!(harmless, "{action:?} although nothing is known\n{decision:#?}");
        }
    }

    /// Invariant 7: what the API server says, or does not say, keeps no data from being served.
    #[test]
    fn data_starts_whatever_the_api_server_says(o in observed(), m in arbitrary::memory(), peers_answer in any::<bool>()) {
        let o = arbitrary::with_data(o, peers_answer);
        let decision = decide(&o, &m, NOW);
        prop_assert!(decision.actions.contains(&Action::Start(StartPlan::Resume)), "{decision:#?}");
    }

    /// Invariant 7: whoever serves is asked to do nothing that ends or restarts etcd.
    #[test]
    fn a_running_etcd_is_left_alone(o in observed(), m in arbitrary::memory()) {
        let decision = decide(&Observed { launcher: Launcher::Running, ..o }, &m, NOW);
        for action in &decision.actions {
            prop_assert!(!matches!(action, Action::Start(_) | Action::Archive(_)), "{action:?} beside a running etcd");
        }
    }

    #[test]
    fn a_decision_goes_on_and_says_why(o in observed(), m in arbitrary::memory()) {
        let decision = decide(&o, &m, NOW);
        prop_assert!(!decision.why.contains('\n'));
        match decision.phase {
            None => prop_assert!(!decision.needs.is_empty() && decision.reason.is_none(), "a look at nothing"),
            Some(_) => {
                let tells = |reason: Reason| reason.places().contains(&Place::Seat);
                prop_assert!(decision.reason.is_some_and(tells), "not a seat's reason: {decision:#?}");
                prop_assert!(!decision.why.is_empty());
                prop_assert!(decision.next_check > NOW || !decision.needs.is_empty(), "a busy loop: {decision:#?}");
                prop_assert!(decision.next_check.since(NOW) <= timing::LONGEST_PAUSE, "sleeps too long: {decision:#?}");
            }
        }
    }

    /// A step that is tried again, because it did not surely succeed, is never tried at full speed.
    #[test]
    fn what_was_tried_before_is_not_tried_at_once(o in observed(), m in arbitrary::memory()) {
        let first = decide(&o, &m, NOW);
        let again = decide(&o, &first.memory, NOW);
        // A look comes to an end.
        let decided = again.reason.is_some() && !again.actions.is_empty();
        if decided && again.actions == first.actions && again.reason == first.reason {
            prop_assert!(again.next_check > NOW, "a busy loop: {again:#?}");
        }
    }

    /// A birth record that cannot be written holds up nothing: with it out of the way, the same is decided.
    #[test]
    fn a_record_that_cannot_be_written_holds_up_nothing_else(o in observed(), m in arbitrary::memory()) {
        let writes = |action: &Action| matches!(action, Action::MarkFormed | Action::RepublishBirth { .. });
        let first = decide(&o, &m, NOW);
        if first.actions.iter().any(writes) {
            let next = decide(&o, &first.memory, NOW);
            prop_assert!(!next.actions.iter().any(writes), "{next:#?}");
            let known = Memory { formed_as_of: Some(NOW), record_attempts: None, ..m };
            let without = decide(&o, &known, NOW);
            let of_others = |d: &Decision| {
                let kept = d.actions.iter().filter(|action| !matches!(action, Action::PruneArchives));
                kept.cloned().collect::<Vec<_>>()
            };
            prop_assert_eq!(of_others(&next), of_others(&without));
        }
    }

    /// The cause of a failed read is for people: whichever it is, the same is done.
    #[test]
    fn the_cause_of_a_failed_read_changes_words_only(o in observed(), m in arbitrary::memory()) {
        let told = decide(&o, &m, NOW);
        let silent = decide(&arbitrary::silenced(&o), &m, NOW);
        prop_assert_eq!(
            (told.actions, told.needs, told.next_check, told.phase, told.memory),
            (silent.actions, silent.needs, silent.next_check, silent.phase, silent.memory)
        );
    }

    /// However long the shell takes for each look, within what it may take: while the world stands still, something
    /// is decided after a few looks, whether the needs are answered or not. (A world that is another at each look,
    /// there and back, can ask for another look each time.)
    #[test]
    fn looking_comes_to_an_end(
        o in observed(),
        world in observed(),
        fails in any::<u8>(),
        takes in 0..=u64::try_from(READ_TIMEOUT.as_millis()).unwrap(),
        m in arbitrary::memory(),
    ) {
        let (mut o, mut m, mut now) = (o, m, NOW);
        let mut asked = vec![];
        for round in 0..4 {
            let decision = decide(&o, &m, now);
            if decision.phase.is_some() {
                return Ok(());
            }
            for need in &decision.needs {
                arbitrary::answer(&mut o, &world, *need, now, fails >> round & 1 == 1);
            }
            asked.push(decision.needs);
            m = decision.memory;
            now = now.after(Duration::from_millis(takes));
            arbitrary::refresh_own(&mut o, now);
        }
        prop_assert!(decide(&o, &m, now).phase.is_some(), "looks, and looks: {asked:?}");
    }

    #[test]
    fn there_is_a_decision_for_absurd_times(
        o in observed(),
        m in arbitrary::memory(),
        now in prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()],
        times in proptest::collection::vec(any::<u64>(), 8),
    ) {
        let mut o = o;
        arbitrary::retime(&mut o, &times);
        let _ = decide(&o, &m, Time(now));
        let again = decide(&o, &Memory { leaving_since: Some(Time(times[0])), ..m }, Time(now));
        let _ = decide(&o, &again.memory, Time(times[1]));
    }
}

/// The properties above would hold of a core that never does anything.
#[test]
fn the_observations_reach_every_action() {
    let mut runner = TestRunner::deterministic();
    let strategy = (observed(), arbitrary::memory());
    let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
    for _ in 0..30_000 {
        let (o, m) = strategy.new_tree(&mut runner).unwrap().current();
        for action in decide(&o, &m, NOW).actions {
            *seen.entry(rules::name(&action)).or_default() += 1;
        }
    }
    println!("{seen:#?}");
    let missing: Vec<_> = rules::NAMES.iter().filter(|name| !seen.contains_key(*name)).collect();
    assert!(missing.is_empty(), "never decided: {missing:?}; decided: {seen:?}");
}
