//! Work that is due for other members, judged from the local etcd's list and the watch: reasons to look, never to act.

use crate::observed::{Member, Observed, Wanted, Workload};

/// True if a wanted seat has no member yet.
pub(crate) fn lacks_members(observed: &Observed) -> bool {
    let (Some(wanted), Some(list)) = (hinted_seats(observed), &observed.local_list) else {
        return false;
    };
    wanted.seats().any(|seat| list.of(seat).next().is_none())
}

/// True if there is a member of an unwanted seat, or a learner. A learner that is of no seat is a person's
/// business.
pub(crate) fn something_is_due(observed: &Observed) -> bool {
    let (Some(wanted), Some(list)) = (hinted_seats(observed), &observed.local_list) else {
        return false;
    };
    list.members
        .values()
        .any(|member| member.seat.is_some() && (member.learner || is_unwanted(member, wanted)))
}

/// True if the member is of a seat that is not among those wanted.
pub(crate) fn is_unwanted(member: &Member, wanted: Wanted) -> bool {
    member.seat.is_some_and(|seat| !wanted.wants(seat))
}

fn hinted_seats(observed: &Observed) -> Option<Wanted> {
    observed.hint.and_then(Workload::seats)
}
