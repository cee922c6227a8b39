//! Sentences of a seat whose etcd has no leader. Nothing is done about it here: without a quorum nobody
//! can agree to anything, and to force something can lose what was acknowledged.

use crate::advice;
use crate::ids::Time;
use crate::observed::{MemberList, Observed};
use crate::quorum::quorum;
use crate::timing::ELECTION_TIME;

/// The sentence that says what is missing, and, when it lasts, the next command that a person can give.
pub(crate) fn no_leader(observed: &Observed, now: Time) -> String {
    lasting(observed, &advice::save_the_data(&observed.me), now).unwrap_or_else(|| {
        "etcd has no leader: fewer members than a quorum answer; it serves again as soon as enough are back".into()
    })
}

/// The same of an etcd that has found no leader since it started, and so serves no clients; `None` while
/// that may only be its start.
pub(crate) fn since_start(observed: &Observed, now: Time) -> Option<String> {
    lasting(observed, &advice::keep_the_volume(&observed.me), now)
}

fn lasting(observed: &Observed, save: &str, now: Time) -> Option<String> {
    let lasts = observed
        .leaderless_since
        .is_some_and(|since| now.since(since) >= ELECTION_TIME);
    let list = observed.local_list.as_ref().filter(|_| lasts)?;
    let voters = list.voters().count();
    let need = quorum(voters);
    Some(match (observed.replicas, replicas_for_quorum(list)) {
        (Some(replicas), Some(enough)) if replicas < enough => format!(
            "etcd has no leader: {need} of the {voters} voters are a quorum, and the StatefulSet has too few pods for that; {}",
            advice::scale_up(&observed.me, enough)
        ),
        _ => format!(
            "etcd has no leader: fewer than {need} of the {voters} voters answer; it serves again as soon as enough are back; if they are gone for good, {save}"
        ),
    })
}

/// The replicas that bring back enough seats of voters for a quorum: those seats need not be the lowest.
fn replicas_for_quorum(list: &MemberList) -> Option<u32> {
    let mut seats: Vec<u32> = list
        .voters()
        .filter_map(|(_, member)| member.seat)
        .map(|seat| seat.0)
        .collect();
    seats.sort_unstable();
    seats.get(quorum(list.voters().count()) - 1).map(|seat| seat + 1)
}
