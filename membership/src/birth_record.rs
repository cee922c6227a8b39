//! Keeping the birth record: it must say that the cluster is formed.

use muster_reasons::Reason;

use crate::decision::{Action, Draft, Need, Phase};
use crate::deputy::is_deputy;
use crate::ids::Time;
use crate::memory::{Attempts, Memory};
use crate::observed::{Birth, BirthPhase, EtcdStatus, Freshness, Observed};
use crate::timing::{BIRTH_RECORD_INTERVAL, BIRTH_RECORD_INTERVAL_AT_REST, TIME_TO_DEPUTISE};
use crate::{deputy, due};

/// Decides what this agent does about the record. `None`: nothing.
///
/// The founder's agent writes "formed" once; the leader's agent writes it again if the record is gone, and
/// looks for that often only while somebody is known to need it. The other agents look half a minute later, and the
/// deputy writes.
pub(crate) fn birth_record(
    observed: &Observed,
    status: &EtcdStatus,
    leads: bool,
    memory: &mut Memory,
    now: Time,
) -> Option<Draft> {
    if !is_due(observed, leads, memory, now) {
        return None;
    }
    let formed = |record: &Option<Birth>| record.as_ref().is_some_and(|birth| birth.phase == BirthPhase::Formed);
    let written = observed.birth.fresh(now).is_some_and(formed);
    // A record that cannot be written is tried again later, and holds up nothing else.
    if memory.record_attempts.is_some_and(|attempts| !attempts.again(now)) && !written {
        return None;
    }
    let cluster = status.identity.cluster;
    let all = if leads {
        vec![Need::Birth, Need::Workload, Need::Peers, Need::List(Some(cluster))]
    } else {
        deputy::needs(cluster).to_vec()
    };
    let record = match observed.birth.check(now) {
        // With what housekeeping needs: read in turns, one would be stale when the other is there, without end.
        Freshness::Stale if due::something_is_due(observed) => return Some(Draft::look(all)),
        Freshness::Stale => return Some(Draft::look([Need::Birth])),
        // The record is for others; this seat's own work goes on.
        Freshness::Failed(_) => return None,
        Freshness::Fresh(record) => record,
    };
    let write = match record {
        None => Action::RepublishBirth { cluster },
        Some(birth) if birth.phase == BirthPhase::Unclaimed => Action::RepublishBirth { cluster },
        Some(birth) if birth.phase == BirthPhase::Claimed && birth.cluster == Some(cluster) => Action::MarkFormed,
        Some(_) => {
            memory.formed_as_of = Some(now);
            memory.record_unknown_since = None;
            memory.record_attempts = None;
            return None;
        }
    };
    if !leads {
        let list = match deputy::members(observed, cluster, now) {
            Ok(list) => list,
            Err(look) => return look,
        };
        if list.cluster != cluster || !is_deputy(list, &observed.live(cluster, now), status) {
            return None;
        }
    }
    Attempts::note(&mut memory.record_attempts, now);
    Some(
        Draft::act(
            Phase::Voter,
            Reason::WritingBirthRecord,
            "the birth record is to say that the cluster is formed",
            [write],
        )
        .reading([Need::Birth]),
    )
}

/// True if it is time to look at the record.
fn is_due(observed: &Observed, leads: bool, memory: &mut Memory, now: Time) -> bool {
    // A seat whose volume is gone needs it too, and its old member is still listed: hence the second pace.
    let interval = if due::lacks_members(observed) {
        BIRTH_RECORD_INTERVAL
    } else {
        BIRTH_RECORD_INTERVAL_AT_REST
    };
    match memory.formed_as_of {
        Some(at) if leads => now.since(at) > interval,
        None if leads => true,
        known => {
            let since = known.unwrap_or_else(|| *memory.record_unknown_since.get_or_insert(now));
            now.since(since) > interval + TIME_TO_DEPUTISE
        }
    }
}
