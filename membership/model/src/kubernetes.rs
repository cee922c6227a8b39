//! Moves of the objects in the API server.

use crate::etcd;
use crate::intern::Pools;
use crate::moves::{Move, Settings};
use crate::state::{Pod, Record, State};

/// The birth record is deleted, or made anew.
pub fn record(settings: &Settings, pools: &Pools, s: &mut State, m: Move) -> Option<()> {
    if m == Move::RecordDeleted {
        (s.record != Record::Missing).then_some(())?;
        s.record = Record::Missing;
    } else {
        (s.record == Record::Missing && s.api_cut != State::API_DOWN && !s.deleting).then_some(())?;
        s.record = if settings.operator {
            // Beside a StatefulSet it makes no other record than that of a cluster that it knows.
            s.published.then_some(Record::Formed {
                claim: s.cluster,
                founder_known: false,
            })?
        } else {
            // A person, who says that there is no cluster. That is not modelled for one that is down, or that may
            // be down before its leader has written the record (see the limits in FINDINGS.md).
            let last = s.faults == 0;
            let young = s.cluster == 0 && (s.claims == 0 || last);
            let alive = etcd::working_leader(s, pools).is_some() && last;
            (young || alive).then_some(Record::Unclaimed { attested: false })?
        };
    }
    s.record_rev += 1;
    Some(())
}

/// The EtcdCluster's status learns of the cluster, from the agent beside the leader.
pub fn publish(settings: &Settings, pools: &Pools, s: &mut State) -> Option<()> {
    let leader = etcd::working_leader(s, pools)?;
    // The look that has something to publish has the WAL noted first.
    let noted = s.seats[leader.seat()].wal_seen && s.api_answers(leader.seat());
    (settings.operator && !s.published && noted).then(|| s.published = true)
}

/// The replicas change, by hand or by the operator. Pods that are not wanted any more are deleted at once.
pub fn scale(pools: &Pools, s: &mut State, m: Move) -> Option<()> {
    match m {
        Move::Scale(to) => {
            s.scalings = s.scalings.checked_sub(1)?;
            s.replicas = to;
            s.shrink = None;
        }
        Move::Shrink(to) => {
            s.scalings = s.scalings.checked_sub(1)?;
            (s.replicas > to).then_some(())?;
            s.shrink = Some(to);
        }
        _ => {
            let to = s.shrink?;
            etcd::working_leader(s, pools)?;
            let config = pools.configs.get(s.config);
            let left = config.iter().all(|e| e.id.seat() < usize::from(to));
            left.then_some(())?;
            s.replicas = to;
            s.shrink = None;
        }
    }
    let unwanted = s.seats.iter_mut().skip(s.replicas.into());
    unwanted
        .filter(|seat| seat.pod != Pod::Gone)
        .for_each(|seat| seat.pod = Pod::Ending);
    Some(())
}
