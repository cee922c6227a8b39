//! Reports on the seat: the answer to `/status`, the seat's entry in the EtcdCluster's status, and, beside the
//! leader, the members.

use std::path::Path;

use muster_api::HexId;
use muster_api::status::{Quorum, SeatPhase, SeatStatus};
use muster_api::status_report::StatusReport;
use muster_membership::{Decision, EtcdStatus, Identity, Launcher, MemberList, Phase, Reason, Time, Workload, timing};

use super::agent::Agent;
use super::clock::wall_clock;
use super::metrics::AgentMetrics;
use super::state::SeatState;
use crate::kubernetes::{LeaderView, Publisher};

/// The facts that all reports share.
struct Facts<'a> {
    state: &'a SeatState,
    status: Option<&'a EtcdStatus>,
    identity: Option<Identity>,
    list: Option<&'a MemberList>,
    quorum: Quorum,
    voters: usize,
}

impl Agent {
    /// Notes the state that `decision` names, and brings every report up to date.
    pub(crate) fn publish(&mut self, decision: &Decision, publisher: &Publisher, metrics: &AgentMetrics, now: Time) {
        self.note_state(decision);
        let Some(state) = &self.state else { return };
        let status = self.observed.local.fresh(now);
        let list = self.observed.local_list.as_ref();
        let facts = Facts {
            state,
            status,
            identity: status
                .map(|s| s.identity)
                .or(self.observed.disk.wal)
                .or(self.observed.disk.join),
            list,
            quorum: self.quorum(now),
            voters: list.map_or(0, |l| l.voters().count()),
        };
        metrics.show_seat(seat_phase(state.phase), state.reason);
        let seat = Some(self.seat_status(&facts));
        publisher.seat.send_if_modified(|entry| replace(entry, seat));
        let view = self.leader_view(&facts);
        publisher.leader.send_if_modified(|entry| replace(entry, view));
        self.report.send_replace(Some(self.status_report(&facts)));
    }

    /// Takes phase, reason and sentence over; a change goes to the log and to the waiting hooks.
    fn note_state(&mut self, decision: &Decision) {
        let Some(next) = SeatState::after(self.state.as_ref(), decision, wall_clock) else {
            return;
        };
        if self.state.as_ref().is_none_or(|state| !state.reads_like(&next)) {
            let (phase, reason) = (next.phase, next.reason.map(Reason::name));
            tracing::info!(?phase, reason, "{}", next.why);
            for hook in &self.hooks {
                hook.progress(next.why.clone());
            }
        }
        self.state = Some(next);
    }

    fn seat_status(&self, facts: &Facts<'_>) -> SeatStatus {
        SeatStatus {
            name: self.config.pod.clone(),
            phase: seat_phase(facts.state.phase),
            reason: facts.state.reason_name(),
            why: facts.state.why.clone(),
            member_id: facts.identity.map(|id| HexId(id.member.0)),
            quorum: facts.quorum,
            voters: i32::try_from(facts.voters).unwrap_or(i32::MAX),
            version: Some(self.version.clone()).filter(|version| !version.is_empty()),
        }
    }

    /// The members, if the local etcd leads.
    fn leader_view(&self, facts: &Facts<'_>) -> Option<LeaderView> {
        let leader = facts.status.filter(|s| s.leader == Some(s.identity.member))?;
        let list = facts.list.filter(|list| list.cluster == leader.identity.cluster)?;
        Some(LeaderView {
            confirmed: self.confirmed.clone(),
            ..LeaderView::new(list, self.config.pod.clone())
        })
    }

    fn status_report(&self, facts: &Facts<'_>) -> StatusReport {
        let disk = &self.observed.disk;
        StatusReport {
            cluster: self.config.cluster.clone(),
            namespace: Some(self.config.namespace.clone()),
            seat: self.observed.me.seat.0,
            pod: self.config.pod.clone(),
            pod_uid: self.config.pod_uid.clone(),
            volume: self.observed.me.volume.clone(),
            // A volume that cannot be read is not known to be empty.
            has_data: disk.wal.is_some() || self.has_claimed() || disk.unreadable.is_some(),
            member_id: facts.identity.map(|id| HexId(id.member.0)),
            cluster_id: facts.identity.map(|id| HexId(id.cluster.0)),
            phase: seat_phase(facts.state.phase),
            reason: facts.state.reason_name(),
            why: facts.state.why.clone(),
            since: facts.state.since.clone(),
            quorum: facts.quorum,
            voters: u32::try_from(facts.voters).unwrap_or(u32::MAX),
            leader: facts.status.and_then(|s| s.leader).map(|id| HexId(id.0)),
            wanted_seats: match self.observed.hint {
                Some(Workload::Wants(wanted)) => Some(wanted.0),
                _ => None,
            },
            terminating: self.observed.container_ends,
            version: self.version.clone(),
            snapshot_bytes: bytes_received(
                self.observed.local.seen.as_ref().map(|(_, last)| last),
                &self.config.data_dir(),
            ),
        }
    }

    /// True if the volume has claimed to found the cluster: then no other seat may take the cluster for lost.
    fn has_claimed(&self) -> bool {
        self.volume.as_ref().is_some_and(|v| v.identity().claim.is_some())
    }

    /// The quorum as the local etcd sees it.
    pub(crate) fn quorum(&self, now: Time) -> Quorum {
        let status = self.observed.local.fresh(now);
        match (&self.observed.launcher, status, self.observed.leaderless_since) {
            (Launcher::Running, Some(s), _) if s.leader.is_some() => Quorum::Ok,
            // Without an answer, too: an etcd that has found no leader since it started serves no clients.
            (Launcher::Running, _, Some(since)) if now.since(since) >= timing::ELECTION_TIME => Quorum::Lost,
            _ => Quorum::Unknown,
        }
    }
}

/// Bytes of snapshot and log files, those still being received included; 0 once etcd said that it votes. While the first
/// snapshot arrives and is restored etcd says nothing, and this is all that shows its progress.
fn bytes_received(last: Option<&EtcdStatus>, data: &Path) -> u64 {
    if last.is_some_and(|status| !status.learner) {
        return 0;
    }
    let sizes = |folder| {
        let files = std::fs::read_dir(data.join("member").join(folder));
        let files = files.into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|m| m.len())
    };
    sizes("snap").chain(sizes("wal")).sum()
}

/// Puts `next` in; true if that is a change.
fn replace<T: PartialEq>(entry: &mut T, next: T) -> bool {
    let changed = *entry != next;
    *entry = next;
    changed
}

fn seat_phase(phase: Phase) -> SeatPhase {
    match phase {
        Phase::Waiting => SeatPhase::Waiting,
        Phase::Founding => SeatPhase::Founding,
        Phase::Joining => SeatPhase::Joining,
        Phase::Learner => SeatPhase::Learner,
        Phase::Voter => SeatPhase::Voter,
        Phase::Leaving => SeatPhase::Leaving,
        Phase::Left => SeatPhase::Left,
        Phase::Refused => SeatPhase::Refused,
        Phase::Lost => SeatPhase::Lost,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use muster_api::reasons::Place;
    use muster_membership::{ClusterId, MemberId};

    use super::*;

    #[test]
    fn bytes_of_a_snapshot_count_before_etcd_says_anything() {
        let data = tempfile::tempdir().unwrap();
        for (file, bytes) in [("snap/tmp123", 700), ("snap/db", 20), ("wal/0.wal", 64)] {
            let path = data.path().join("member").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![0; bytes]).unwrap();
        }
        let status = |learner| EtcdStatus {
            identity: Identity {
                member: MemberId(1),
                cluster: ClusterId(2),
            },
            leader: None,
            learner,
            applied: 1,
        };
        assert_eq!(bytes_received(None, data.path()), 784);
        assert_eq!(bytes_received(Some(&status(true)), data.path()), 784);
        assert_eq!(bytes_received(Some(&status(false)), data.path()), 0);
        assert_eq!(bytes_received(None, &data.path().join("none")), 0);
    }

    /// The reasons that the sources in `folder` name, its folders included.
    fn named(folder: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(named(&path));
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let words = text.split("Reason::").skip(1).zip(text.split("Reason::"));
            found.extend(
                words
                    .filter(|(_, before)| !before.ends_with("Archive"))
                    .map(|(after, _)| {
                        let end = after.find(|letter: char| !letter.is_ascii_alphanumeric());
                        after[..end.unwrap_or(after.len())].to_owned()
                    }),
            );
        }
        found.retain(|name| Reason::ALL.iter().any(|reason| reason.name() == name));
        found
    }

    fn listed(place: Place) -> BTreeSet<String> {
        let all = Reason::ALL.iter().filter(|reason| reason.places().contains(&place));
        all.map(|reason| reason.name().to_owned()).collect()
    }

    #[test]
    fn the_reasons_of_the_core_are_those_that_the_table_has_for_seats() {
        let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../membership/src");
        assert_eq!(named(&core), listed(Place::Seat));
    }

    #[test]
    fn the_reasons_of_the_agents_events_are_those_that_the_table_has_for_them() {
        let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kubernetes/events/log.rs");
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(events, folder.path().join("log.rs")).unwrap();
        assert_eq!(named(folder.path()), listed(Place::AgentEvent));
    }
}
