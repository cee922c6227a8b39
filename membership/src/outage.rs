//! What a seat says whose etcd has no leader. Nothing is done about it here: without a quorum nobody
//! can agree to anything, and to force something can lose what was acknowledged.

use crate::ids::Time;
use crate::observed::{MemberList, Observed};
use crate::quorum::quorum;
use crate::timing::ELECTION;

/// What is missing, and, when it lasts, the next command that a person can give.
pub(crate) fn no_leader(o: &Observed, now: Time) -> String {
    let save = format!(
        "save this seat's data before anything else: {} exec {} -c etcd -- etcdctl snapshot save /var/lib/etcd/rescue.db",
        o.me.kubectl(),
        o.me.name
    );
    lasting(o, &save, now).unwrap_or_else(|| {
        "etcd has no leader: fewer members than a quorum answer; it serves again as soon as enough are back".into()
    })
}

/// The same of an etcd that has found no leader since it started, and so serves no clients; `None` while
/// that may only be its start.
pub(crate) fn since_start(o: &Observed, now: Time) -> Option<String> {
    let save = format!(
        "keep the volume of {}, which may be the last copy: etcdutl snapshot restore --skip-hash-check takes its data/member/snap/db",
        o.me.name
    );
    lasting(o, &save, now)
}

fn lasting(o: &Observed, save: &str, now: Time) -> Option<String> {
    let lasts = o.leaderless_since.is_some_and(|since| now.since(since) >= ELECTION);
    let list = o.local_list.as_ref().filter(|_| lasts)?;
    let (voters, kubectl) = (list.voters().count(), o.me.kubectl());
    let need = quorum(voters);
    Some(match (o.replicas, replicas_for_quorum(list)) {
        (Some(replicas), Some(enough)) if replicas < enough => format!(
            "etcd has no leader: {need} of the {voters} voters are a quorum, and the StatefulSet has too few pods for that; where no operator brings them back, do it: {kubectl} scale statefulset {} --replicas={enough}",
            o.me.cluster()
        ),
        _ => format!(
            "etcd has no leader: fewer than {need} of the {voters} voters answer; it serves again as soon as enough are back; if they are gone for good, {save}"
        ),
    })
}

/// How many replicas bring back enough seats of voters for a quorum: those seats need not be the lowest.
fn replicas_for_quorum(list: &MemberList) -> Option<u32> {
    let mut seats: Vec<u32> = list.voters().filter_map(|(_, m)| m.seat).map(|seat| seat.0).collect();
    seats.sort_unstable();
    seats.get(quorum(list.voters().count()) - 1).map(|seat| seat + 1)
}
