//! Data on a volume that does not say which cluster it is of: an earlier release did not note it, or a person put it there.
//!
//! A copy of a live member's volume looks the same, in another namespace, for one. If it ran, it would be a second
//! process under that member's ID, and take over its streams. So such data starts only where somebody of this very
//! cluster says that it belongs here: a member list, by this seat's own peer URL, or the birth record.

use muster_reasons::Reason;

use crate::advice;
use crate::decision::{Draft, Need, Phase};
use crate::ids::{Time, founding_cluster_id};
use crate::observed::{Birth, Freshness, Identity, MemberList, Observed};
use crate::timing::{REST_INTERVAL, RETRY_INTERVAL};

/// Returns only if the data of `wal` belongs to this seat for certain, or is of a member that was removed.
pub(crate) fn certain(observed: &Observed, wal: Identity, now: Time) -> Result<(), Draft> {
    let all = [Need::List(Some(wal.cluster)), Need::Birth];
    match observed.list.check(now) {
        Freshness::Stale => return Err(Draft::look(all)),
        Freshness::Fresh(list) if list.cluster == wal.cluster => return listed_here(observed, wal, list),
        _ => {}
    }
    let record = observed.birth.need(now, &all, |cause| {
        let (reason, clause) = cause.of_birth_record();
        let why = unknown(wal, &format!("the birth record cannot be read: {clause}"));
        Draft::wait(Phase::Waiting, reason, why, RETRY_INTERVAL).reading(all)
    })?;
    let own_volume = "give the seat its own volume, or an empty one";
    match record {
        None => {
            let why = unknown(
                wal,
                "the birth record is missing: the operator writes it, or the agent beside the leader",
            );
            Err(Draft::wait(Phase::Waiting, Reason::BirthRecordMissing, why, RETRY_INTERVAL).reading(all))
        }
        Some(birth) if birth.cluster == Some(wal.cluster) => {
            if founded_here(observed, birth) {
                return Ok(());
            }
            let clause = format!("the birth record is a copy, too, of a cluster with other names: {own_volume}");
            Err(refused(wal, unknown(wal, &clause)))
        }
        Some(Birth {
            cluster: Some(other), ..
        }) => {
            let clause = format!("the birth record names cluster {other}: {own_volume}");
            Err(refused(wal, unknown(wal, &clause)))
        }
        Some(_) => {
            let adopt = advice::adopt(&observed.me, wal.cluster);
            let clause = format!("the birth record names no cluster: {own_volume}; {adopt}");
            Err(refused(wal, unknown(wal, &clause)))
        }
    }
}

/// A member that is not listed was removed: its data makes way, wherever it lies.
fn listed_here(observed: &Observed, wal: Identity, list: &MemberList) -> Result<(), Draft> {
    match list.members.get(&wal.member) {
        Some(member) if !member.peer_urls.contains(&observed.me.peer_url) => Err(refused(
            wal,
            format!(
                "the volume is a copy: it holds the data of member {}, which cluster {} lists under {}; give the seat its own volume, or an empty one",
                wal.member,
                wal.cluster,
                member.peer_urls.join(", ")
            ),
        )),
        _ => Ok(()),
    }
}

/// False for a record that was copied along with the volumes: the ID of a cluster follows from its founder's URL, which
/// names the namespace.
fn founded_here(observed: &Observed, birth: &Birth) -> bool {
    birth.founder.as_ref().is_none_or(|(token, seat, _)| {
        let url = observed.me.peer_url_of(*seat);
        birth.cluster == Some(founding_cluster_id(&url, token))
    })
}

fn unknown(wal: Identity, clause: &str) -> String {
    format!(
        "the volume holds data of cluster {}, does not say whose, and may be a copy; no member of that cluster answers here, and {clause}",
        wal.cluster
    )
}

fn refused(wal: Identity, why: String) -> Draft {
    let again = [Need::List(Some(wal.cluster)), Need::Birth];
    Draft::wait(Phase::Refused, Reason::WrongCluster, why, REST_INTERVAL).reading(again)
}
