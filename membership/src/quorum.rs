//! The quorum arithmetic behind every removal and promotion.

use crate::ids::MemberId;
use crate::observed::{Live, MemberList, Wanted};

/// The smallest majority of `voters` voters.
#[must_use]
pub fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// Allows `target` to be removed from the members listed, given the members that answer right
/// now and the seats that are wanted (invariants 3 and 5).
///
/// # Errors
/// A sentence that says what is missing.
pub fn may_remove(list: &MemberList, live: &Live, wanted: Wanted, target: MemberId) -> Result<(), String> {
    let Some(member) = list.members.get(&target) else {
        return Err(format!("member {target} is not in the list"));
    };
    // A learner carries no vote: its removal changes no quorum.
    if member.learner {
        return Ok(());
    }
    let stay: Vec<_> = list.voters().filter(|(id, _)| **id != target).collect();
    let answering = stay
        .iter()
        .filter(|(id, _)| live.following_one_leader.contains(id))
        .count();
    // Nothing is lost with a voter that does not answer. If it had to wait for a live voter of a
    // wanted seat, a wanted seat whose volume is gone could never join again beside unwanted ones.
    let wanted_stays = stay.iter().any(|(id, member)| {
        live.following_one_leader.contains(id) && member.seat.is_some_and(|seat| wanted.wants(seat))
    });
    if live.answering.contains(&target) && !wanted_stays {
        return Err("no voter of a wanted seat that would remain answers".into());
    }
    if answering < quorum(stay.len()) {
        return Err(format!(
            "of the {} voters that would remain only {answering} answer, and {} are needed",
            stay.len(),
            quorum(stay.len())
        ));
    }
    Ok(())
}

/// Allows the learner `target`, which answers right now, to be promoted (invariant 3).
///
/// Stricter than "the live voters and the learner are a quorum of the result": the learner may die
/// between this check and the promotion, so the present voters must carry the result without it,
/// except where all of them answer (1→2 and 2→… could otherwise never grow).
///
/// # Errors
/// A sentence that says what is missing.
pub fn may_promote(list: &MemberList, live: &Live, target: MemberId) -> Result<(), String> {
    if !list
        .members
        .get(&target)
        .is_some_and(|member| member.learner && member.started())
    {
        return Err(format!("member {target} is not a started learner"));
    }
    let voters = list.voters().count();
    let answering = list
        .voters()
        .filter(|(id, _)| live.following_one_leader.contains(id))
        .count();
    if !live.answering.contains(&target) {
        return Err(format!("learner {target} does not answer"));
    }
    if answering == voters || answering >= quorum(voters + 1) {
        Ok(())
    } else {
        Err(format!(
            "only {answering} of {voters} voters answer, and {} must before there may be {}",
            quorum(voters + 1),
            voters + 1
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use crate::ids::{ClusterId, Seat};
    use crate::observed::Member;

    fn list(voters: u32, learners: u32) -> MemberList {
        let member = |i: u32, learner| {
            (
                MemberId(u64::from(i)),
                Member {
                    seat: Some(Seat(i)),
                    name: format!("c-{i}"),
                    peer_urls: vec![],
                    learner,
                },
            )
        };
        MemberList {
            cluster: ClusterId(1),
            members: (0..voters)
                .map(|i| member(i, false))
                .chain((voters..voters + learners).map(|i| member(i, true)))
                .collect(),
        }
    }

    fn live(ids: &[u64]) -> Live {
        let ids: BTreeSet<_> = ids.iter().copied().map(MemberId).collect();
        Live {
            answering: ids.clone(),
            following_one_leader: ids,
        }
    }

    fn apart(mut live: Live, cut_off: &[u64]) -> Live {
        live.following_one_leader.retain(|id| !cut_off.contains(&id.0));
        live
    }

    #[test]
    fn a_live_voter_may_go_only_while_the_rest_keeps_quorum() {
        let l = list(3, 0);
        assert!(may_remove(&l, &live(&[0, 1, 2]), Wanted(2), MemberId(2)).is_ok());
        assert!(may_remove(&l, &live(&[0, 2]), Wanted(2), MemberId(2)).is_err());
    }

    #[test]
    fn a_voter_that_is_cut_off_from_the_others_is_no_quorum_with_them() {
        let l = list(3, 0);
        assert!(may_remove(&l, &apart(live(&[0, 1, 2]), &[1]), Wanted(2), MemberId(2)).is_err());
        assert!(may_promote(&list(3, 1), &apart(live(&[0, 1, 2, 3]), &[2]), MemberId(3)).is_err());
    }

    #[test]
    fn a_dead_voter_may_be_removed_when_the_others_answer() {
        assert!(may_remove(&list(3, 0), &live(&[0, 1]), Wanted(2), MemberId(2)).is_ok());
        assert!(may_remove(&list(2, 0), &live(&[0]), Wanted(1), MemberId(1)).is_ok());
    }

    #[test]
    fn the_last_live_voter_of_a_wanted_seat_stays() {
        // Seats 1 and 2 answer and would be a quorum of two, but only seat 0 is wanted and it is down.
        assert!(may_remove(&list(3, 0), &live(&[1, 2]), Wanted(1), MemberId(2)).is_err());
        assert!(may_remove(&list(1, 0), &live(&[0]), Wanted(1), MemberId(0)).is_err());
    }

    #[test]
    fn a_dead_voter_of_the_only_wanted_seat_may_go() {
        assert!(may_remove(&list(3, 0), &live(&[1, 2]), Wanted(1), MemberId(0)).is_ok());
    }

    #[test]
    fn a_learner_goes_without_regard_to_quorum_of_voters() {
        assert!(may_remove(&list(3, 1), &live(&[0]), Wanted(3), MemberId(3)).is_ok());
    }

    #[test]
    fn promotion_needs_voters_that_carry_the_result_without_the_learner() {
        assert!(may_promote(&list(1, 1), &live(&[0, 1]), MemberId(1)).is_ok());
        assert!(may_promote(&list(2, 1), &live(&[0, 1, 2]), MemberId(2)).is_ok());
        // Three voters, one down: a fourth that dies at once would cost the quorum.
        assert!(may_promote(&list(3, 1), &live(&[0, 1, 3]), MemberId(3)).is_err());
        assert!(may_promote(&list(4, 1), &live(&[0, 1, 2, 4]), MemberId(4)).is_ok());
        assert!(may_promote(&list(3, 1), &live(&[0, 1, 2]), MemberId(3)).is_err());
    }
}
