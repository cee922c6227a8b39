//! The deputy: the seat whose agent does what the agent beside the leader leaves undone.

use crate::decision::{Draft, Need};
use crate::ids::{ClusterId, Time};
use crate::observed::{EtcdStatus, Freshness, Live, MemberList, Observed};

/// True if the local etcd is that of the deputy: the lowest seat among the live voters that do not lead.
///
/// The leader is left out, because its agent is the one that fails. A seat that is wanted is lower than one that is
/// not, so the deputy is of a wanted seat if a voter of one answers; if none does, somebody has to act all the same.
pub(crate) fn is_deputy(list: &MemberList, live: &Live, local: &EtcdStatus) -> bool {
    let deputy = list
        .voters()
        .filter(|(id, _)| live.answering.contains(id) && Some(**id) != local.leader)
        .filter_map(|(id, member)| member.seat.map(|seat| (seat, *id)))
        .min();
    deputy.is_some_and(|(_, id)| id == local.identity.member)
}

/// Everything that any duty of a deputy is decided from, read together: in turns, one value would be stale when the
/// other is there, without end.
pub(crate) fn needs(cluster: ClusterId) -> [Need; 5] {
    let list = Need::List(Some(cluster));
    [Need::Birth, Need::Published, Need::Workload, Need::Peers, list]
}

/// The fenced members, if they and the peers are fresh; else what to look at, or nothing if that failed.
pub(crate) fn members(observed: &Observed, cluster: ClusterId, now: Time) -> Result<&MemberList, Option<Draft>> {
    match (observed.list.check(now), observed.peers.check(now)) {
        (Freshness::Stale, _) | (_, Freshness::Stale) => Err(Some(Draft::look(needs(cluster)))),
        (Freshness::Fresh(list), Freshness::Fresh(_)) => Ok(list),
        _ => Err(None),
    }
}
