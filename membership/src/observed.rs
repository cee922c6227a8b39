//! What one seat's agent saw, each part with the time it was seen.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{ClusterId, MemberId, Seat, Time};
use crate::quorum::Live;
use crate::timing::{FRESH, UNANSWERED};

/// A value that has to be read from somewhere that may not answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reading<T> {
    /// The last answer and when the read that gave it began.
    pub seen: Option<(Time, T)>,
    /// When the last read that got no answer began.
    pub failed: Option<Time>,
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self {
            seen: None,
            failed: None,
        }
    }
}

/// How a [`Reading`] stands at a given moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness<'a, T> {
    /// Answered lately; may be acted on.
    Fresh(&'a T),
    /// Never asked, or too long ago: ask before acting.
    Stale,
    /// Asked lately, without an answer: nothing follows from that.
    Failed,
}

impl<T> Reading<T> {
    /// An answer to a read that began at `at`.
    pub fn saw(at: Time, value: T) -> Self {
        Self {
            seen: Some((at, value)),
            failed: None,
        }
    }

    /// Notes that a read that began at `at` got no answer.
    pub fn fail(&mut self, at: Time) {
        self.failed = Some(at);
    }

    /// How the reading stands at `now`.
    pub fn check(&self, now: Time) -> Freshness<'_, T> {
        let since = |at: Time| now.since(at);
        match (&self.seen, self.failed) {
            (Some((at, value)), failed) if failed.is_none_or(|f| f < *at) => {
                if since(*at) <= FRESH {
                    Freshness::Fresh(value)
                } else {
                    Freshness::Stale
                }
            }
            (_, Some(at)) if since(at) <= UNANSWERED => Freshness::Failed,
            _ => Freshness::Stale,
        }
    }

    /// The value, if it may be acted on.
    pub fn fresh(&self, now: Time) -> Option<&T> {
        match self.check(now) {
            Freshness::Fresh(value) => Some(value),
            _ => None,
        }
    }
}

/// Who this agent is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Me {
    /// The seat.
    pub seat: Seat,
    /// The seat's pod name, which is also etcd's `--name`.
    pub name: String,
    /// The seat's peer URL.
    pub peer_url: String,
    /// UUID of the volume as it is now.
    pub volume: String,
}

impl Me {
    /// The cluster's name: the seat's without its number.
    #[must_use]
    pub fn cluster(&self) -> &str {
        self.name.rsplit_once('-').map_or(&self.name, |(cluster, _)| cluster)
    }

    /// The beginning of a command that a person can give, with the namespace that the peer URL names.
    #[must_use]
    pub fn kubectl(&self) -> String {
        let host = self
            .peer_url
            .split("://")
            .nth(1)
            .and_then(|rest| rest.split(':').next());
        match host.and_then(|host| host.split('.').nth(2)) {
            Some(namespace) => format!("kubectl --namespace {namespace}"),
            None => "kubectl".into(),
        }
    }
}

/// An etcd identity: a member of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The member.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
}

/// What lies on the seat's volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Disk {
    /// The identity in the WAL's metadata record, if there is a WAL.
    pub wal: Option<Identity>,
    /// The member that this volume registered, before there was a WAL.
    pub join: Option<Identity>,
    /// A WAL was seen on this volume before.
    pub wal_seen: bool,
    /// There are files of a start that failed before it had a WAL.
    pub leftovers: bool,
    /// This identity was removed from its cluster; its data must not start again.
    pub tombstone: Option<Identity>,
    /// Data of this volume was set aside as corrupt before: that is done once.
    pub corrupt_before: bool,
    /// Why the volume cannot be read, if it cannot.
    pub unreadable: Option<String>,
}

/// The etcd container, as far as its launcher tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Launcher {
    /// Not connected.
    #[default]
    Absent,
    /// Waits for the lock on the volume, which another pod holds.
    Blocked,
    /// Holds the volume and waits for a plan.
    AwaitingPlan {
        /// The last etcd of this volume ended because it could not open its data, by a known message,
        /// with the image and settings of the last good start.
        corrupt: bool,
    },
    /// etcd runs.
    Running,
}

/// The seats that the StatefulSet wants: `[0, n)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wanted(pub u32);

impl Wanted {
    /// Whether `seat` is one of them.
    #[must_use]
    pub fn wants(self, seat: Seat) -> bool {
        seat.0 < self.0
    }

    /// The seats, lowest first.
    pub fn seats(self) -> impl Iterator<Item = Seat> {
        (0..self.0).map(Seat)
    }
}

/// What a read of the StatefulSet gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Workload {
    /// There is none of this name.
    Missing,
    /// There is one, but it does not own this pod.
    NotMine,
    /// It is being deleted.
    Deleting,
    /// It wants these seats.
    Wants(Wanted),
}

/// Whether somebody has founded the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BirthPhase {
    /// Nobody has claimed the founding.
    Unclaimed,
    /// One volume has.
    Claimed,
    /// The founder has served.
    Formed,
}

/// The birth record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Birth {
    /// How far the founding is.
    pub phase: BirthPhase,
    /// The record's creator attests that no volume claim of this name existed then.
    pub no_older_volumes: bool,
    /// The founder's token, seat and volume, where it is known.
    pub founder: Option<(String, Seat, String)>,
    /// The cluster founded.
    pub cluster: Option<ClusterId>,
    /// The cluster that a person gave up.
    pub abandoned: Option<ClusterId>,
}

/// An etcd server's answer to Status.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EtcdStatus {
    /// Who answers, and for which cluster.
    pub identity: Identity,
    /// The leader it knows.
    pub leader: Option<MemberId>,
    /// It is a learner.
    pub learner: bool,
    /// Its applied raft index.
    pub applied: u64,
}

/// What another seat's agent reports of itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AgentReport {
    /// Its volume holds data, or is bound to a member.
    pub has_data: bool,
    /// Bytes of snapshot files on its volume: what a learner gains while it receives a snapshot.
    pub snapshot_bytes: u64,
}

/// Another seat's pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// It is being terminated.
    pub terminating: bool,
    /// Its etcd's Status.
    pub etcd: Reading<EtcdStatus>,
    /// Its agent's report.
    pub agent: Reading<AgentReport>,
}

/// An entry of etcd's member list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The seat that its peer URL names, if that is one of this cluster's.
    pub seat: Option<Seat>,
    /// Its name; empty until it has started once.
    pub name: String,
    /// Its peer URLs, byte for byte as registered.
    pub peer_urls: Vec<String>,
    /// It has no vote.
    pub learner: bool,
}

impl Member {
    /// Whether it has ever started (etcd calls a member with a name started).
    #[must_use]
    pub fn started(&self) -> bool {
        !self.name.is_empty()
    }

    /// How a person would call it.
    #[must_use]
    pub fn label(&self) -> String {
        match self.seat {
            Some(seat) => seat.to_string(),
            None => self.peer_urls.first().cloned().unwrap_or_else(|| self.name.clone()),
        }
    }
}

/// A member list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MemberList {
    /// The cluster that it is of.
    pub cluster: ClusterId,
    /// The members by ID.
    pub members: BTreeMap<MemberId, Member>,
}

impl MemberList {
    /// The members that vote.
    pub fn voters(&self) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.members.iter().filter(|(_, m)| !m.learner)
    }

    /// The members that learn.
    pub fn learners(&self) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.members.iter().filter(|(_, m)| m.learner)
    }

    /// The members of one seat.
    pub fn of(&self, seat: Seat) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.members.iter().filter(move |(_, m)| m.seat == Some(seat))
    }
}

/// This pod's own entry in the EndpointSlices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Endpoint {
    /// Not there yet, or there with another pod's UID or address.
    Unpublished,
    /// There, with this pod's UID and address.
    Published,
}

/// Everything that one decision is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Observed {
    /// Who this agent is.
    pub me: Me,
    /// The preStop hook waits for an answer: the pod ends, or a probe failed.
    pub hook_waits: bool,
    /// The seat's volume.
    pub disk: Disk,
    /// The etcd container.
    pub launcher: Launcher,
    /// The StatefulSet, by a read of the API server.
    pub workload: Reading<Workload>,
    /// The StatefulSet, as the watch last told. Only ever a reason to look, never to act.
    pub hint: Option<Workload>,
    /// The StatefulSet's replicas, as the watch last told. Only for what people read.
    pub replicas: Option<u32>,
    /// The birth record; `None` if the API server says that there is none.
    pub birth: Reading<Option<Birth>>,
    /// The cluster ID that the EtcdCluster's status knows.
    pub status_cluster: Reading<Option<ClusterId>>,
    /// Own entry in the EndpointSlices.
    pub endpoint: Reading<Endpoint>,
    /// The pods of the other seats, by a read of the EndpointSlices (the peers inside have their own times).
    pub peers: Reading<BTreeMap<Seat, Peer>>,
    /// Own etcd's Status.
    pub local: Reading<EtcdStatus>,
    /// Since when own etcd has run without knowing a leader. Only for what people read.
    pub leaderless_since: Option<Time>,
    /// Own etcd's member list, without a fence. Only ever a reason to look, never to act.
    pub local_list: Option<MemberList>,
    /// A member list that a linearizable read on the same endpoint fenced.
    pub list: Reading<MemberList>,
    /// What etcd answered to the last membership request of this agent, if it refused.
    pub refusal: Option<String>,
    /// A token for founding, unique to this attempt (the core has no randomness).
    pub token: String,
}

impl Observed {
    /// What is known before anything was looked at.
    #[must_use]
    pub fn nothing_yet(me: Me, token: String) -> Self {
        Self {
            me,
            hook_waits: false,
            disk: Disk::default(),
            launcher: Launcher::Absent,
            workload: Reading::default(),
            hint: None,
            replicas: None,
            birth: Reading::default(),
            status_cluster: Reading::default(),
            endpoint: Reading::default(),
            peers: Reading::default(),
            local: Reading::default(),
            leaderless_since: None,
            local_list: None,
            list: Reading::default(),
            refusal: None,
            token,
        }
    }

    /// The members of `cluster` that answer right now, each with the leader it follows.
    fn answers(&self, cluster: ClusterId, now: Time) -> BTreeMap<MemberId, Option<MemberId>> {
        let peers = self.peers.seen.iter().flat_map(|(_, peers)| peers.values());
        peers
            .filter_map(|peer| peer.etcd.fresh(now))
            .chain(self.local.fresh(now))
            .filter(|status| status.identity.cluster == cluster)
            .map(|status| (status.identity.member, status.leader))
            .collect()
    }

    /// The leader that most of the members of `cluster` follow that answer right now.
    #[must_use]
    pub fn leader_of(&self, cluster: ClusterId, now: Time) -> Option<MemberId> {
        most_followed(&self.answers(cluster, now))
    }

    /// The members of `cluster` that answer right now, and those of them that follow the leader that
    /// most of them follow.
    #[must_use]
    pub fn live(&self, cluster: ClusterId, now: Time) -> Live {
        let answers = self.answers(cluster, now);
        let leader = most_followed(&answers);
        let together = answers.iter().filter(|(_, l)| leader.is_some() && **l == leader);
        Live {
            together: together.map(|(id, _)| *id).collect(),
            answering: answers.into_keys().collect(),
        }
    }

    /// The last known Status of `member` of `cluster`, if it answers right now.
    #[must_use]
    pub fn status_of(&self, identity: Identity, now: Time) -> Option<&EtcdStatus> {
        let peers = self.peers.seen.iter().flat_map(|(_, peers)| peers.values());
        peers
            .filter_map(|peer| peer.etcd.fresh(now))
            .chain(self.local.fresh(now))
            .find(|status| status.identity == identity)
    }

    /// Whether the pod of `seat` is known to be gone.
    #[must_use]
    pub fn pod_is_gone(&self, seat: Seat, now: Time) -> bool {
        seat != self.me.seat && self.peers.fresh(now).is_some_and(|peers| !peers.contains_key(&seat))
    }
}

fn most_followed(answers: &BTreeMap<MemberId, Option<MemberId>>) -> Option<MemberId> {
    let followers = |leader: MemberId| answers.values().filter(|l| **l == Some(leader)).count();
    let leaders: BTreeSet<_> = answers.values().flatten().copied().collect();
    leaders.into_iter().max_by_key(|leader| followers(*leader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_cluster_and_its_namespace() {
        let me = |peer_url: &str| Me {
            seat: Seat(12),
            name: "my-db-12".into(),
            peer_url: peer_url.into(),
            volume: String::new(),
        };
        let full = me("http://my-db-12.my-db-peer.prod.svc.cluster.local:2380");
        assert_eq!(
            (full.cluster(), full.kubectl().as_str()),
            ("my-db", "kubectl --namespace prod")
        );
        assert_eq!(me("http://my-db-12.my-db-peer:2380").kubectl(), "kubectl");
    }
}
