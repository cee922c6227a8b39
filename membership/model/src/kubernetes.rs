//! What happens to the objects in the API server.

use crate::etcd;
use crate::moves::{Move, Settings};
use crate::pools::Pools;
use crate::state::{Pod, Record, State};

/// The birth record is deleted, or made anew.
pub fn record(settings: &Settings, pools: &Pools, s: &mut State, m: Move) -> Option<()> {
    if m == Move::RecordDeleted {
        (s.record != Record::Missing).then_some(())?;
        s.record = Record::Missing;
    } else {
        (s.record == Record::Missing && !s.api_down && !s.deleting).then_some(())?;
        // Without an operator nobody knows of a cluster that is down, or will be before its leader has written
        // the record: who makes it anew then says that there is none (see the limits in FINDINGS.md).
        let alive = etcd::working_leader(s, pools).is_some() && s.faults == 0;
        let known = settings.operator || alive;
        (s.cluster == 0 || known).then_some(())?;
        s.record = match s.cluster {
            claim if claim > 0 && settings.operator => Record::Formed {
                claim,
                founder_known: false,
            },
            _ => Record::Unclaimed { attested: false },
        };
    }
    s.record_rev += 1;
    Some(())
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
