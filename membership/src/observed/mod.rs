//! Observations of one seat's agent, each part with the time at which it was seen.

mod demand;
mod live;
mod members;
mod reading;

use std::collections::BTreeMap;

pub(crate) use demand::Demand;
pub use demand::{Wanted, Workload};
pub use live::Live;
pub use members::{Member, MemberList};
pub use reading::{Freshness, Reading, Unread};

use crate::decision::Action;
use crate::ids::{ClusterId, MemberId, Seat, Time};

/// The seat that this agent looks after.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    pub(crate) fn cluster_name(&self) -> &str {
        self.name.rsplit_once('-').map_or(&self.name, |(cluster, _)| cluster)
    }

    /// The peer URL of another seat of this cluster.
    pub(crate) fn peer_url_of(&self, seat: Seat) -> String {
        let name = format!("{}-{}", self.cluster_name(), seat.0);
        self.peer_url.replacen(&self.name, &name, 1)
    }
}

/// An etcd identity: a member of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The member.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
}

/// The content of the seat's volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Disk {
    /// The identity in the WAL's metadata record, if there is a WAL.
    pub wal: Option<Identity>,
    /// The member that this volume registered, before there was a WAL.
    pub join: Option<Identity>,
    /// True if a WAL was seen on this volume before.
    pub wal_seen: bool,
    /// True if there are files of a start that failed before it had a WAL.
    pub leftovers: bool,
    /// True if nothing on the volume says which cluster it is of: an earlier release did not note it, or its data came
    /// without an identity.
    pub nameless: bool,
    /// The identity that was removed from its cluster; its data must not start again.
    pub tombstone: Option<Identity>,
    /// True if data of this volume was set aside as corrupt before: that is done once.
    pub corrupt_before: bool,
    /// The sentence that says why the volume cannot be read, if it cannot.
    pub unreadable: Option<String>,
}

/// The etcd container, as far as its launcher tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Launcher {
    /// Not connected.
    #[default]
    Absent,
    /// Waits for the lock on the volume, which another pod holds.
    Blocked,
    /// Cannot take the lock on the volume, and tries again: it cannot be written.
    LockFails {
        /// The file, and the operating system's words.
        why: String,
    },
    /// Holds the volume and waits for a plan.
    AwaitingPlan {
        /// True if the last etcd of this volume ended because it could not open its data, by a known message,
        /// with the image and settings of the last good start.
        corrupt: bool,
    },
    /// etcd runs.
    Running,
}

/// The progress of the founding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BirthPhase {
    /// Nobody has claimed the founding.
    Unclaimed,
    /// One volume has.
    Claimed,
    /// The founder has served.
    Formed,
}

/// The birth record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Birth {
    /// The progress of the founding.
    pub phase: BirthPhase,
    /// True if the record's creator attests that no volume claim of this name existed then.
    pub no_older_volumes: bool,
    /// The founder's token, seat and volume, where it is known.
    pub founder: Option<(String, Seat, String)>,
    /// The cluster founded.
    pub cluster: Option<ClusterId>,
    /// The cluster that a person gave up.
    pub abandoned: Option<ClusterId>,
}

/// An etcd server's answer to Status.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EtcdStatus {
    /// The member that answers, and its cluster.
    pub identity: Identity,
    /// The leader it knows.
    pub leader: Option<MemberId>,
    /// True if it is a learner.
    pub learner: bool,
    /// Its applied raft index.
    pub applied: u64,
}

/// The report of another seat's agent about itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AgentReport {
    /// True if its volume holds data, or is bound to a member.
    pub has_data: bool,
    /// Bytes of snapshot and log files on its volume, unless its etcd has said that it votes: what a learner gains while
    /// it receives a snapshot, and answers nobody.
    pub snapshot_bytes: u64,
}

/// Another seat's pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Peer {
    /// True if it is being terminated.
    pub terminating: bool,
    /// Its etcd's Status.
    pub etcd: Reading<EtcdStatus>,
    /// Its agent's report.
    pub agent: Reading<AgentReport>,
}

/// This pod's own entry in the EndpointSlices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Not there yet, or there with another pod's UID or address.
    Unpublished,
    /// There, with this pod's UID and address.
    Published,
}

/// The members in the EtcdCluster's status.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Published {
    /// Version of the EtcdCluster that was read: a write is bound to it.
    pub version: String,
    /// Name of the leader's pod.
    pub leader: Option<String>,
    /// The members, if a cluster ID is published.
    pub list: Option<MemberList>,
}

/// Runs of etcd that ended before they served, one after the other and in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailedStarts {
    /// The cause in etcd's own words, or the operating system's: one clause.
    pub words: String,
    /// The number of these runs.
    pub count: u32,
    /// The end of the last one.
    pub last: Time,
}

/// Everything that one decision is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observed {
    /// The seat that this agent looks after.
    pub me: Me,
    /// True if the preStop hook waits for an answer: the pod ends, or a probe failed.
    pub hook_waits: bool,
    /// True if the hook has asked since etcd's container started, also once it has its answer: this container ends.
    pub container_ends: bool,
    /// The seat's volume.
    pub disk: Disk,
    /// The etcd container.
    pub launcher: Launcher,
    /// The starts of etcd that failed, if the last one did, until etcd serves.
    pub failed_starts: Option<FailedStarts>,
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
    /// The members in the EtcdCluster's status; `None` if there is no EtcdCluster.
    pub published: Reading<Option<Published>>,
    /// This pod's own entry in the EndpointSlices.
    pub endpoint: Reading<Endpoint>,
    /// The pods of the other seats, by a read of the EndpointSlices (the peers inside have their own times).
    pub peers: Reading<BTreeMap<Seat, Peer>>,
    /// The local etcd's Status.
    pub local: Reading<EtcdStatus>,
    /// The time since which the local etcd has run without knowing a leader. Only for what people read.
    pub leaderless_since: Option<Time>,
    /// The local etcd's member list, without a fence. Only ever a reason to look, never to act.
    pub local_list: Option<MemberList>,
    /// The time since which the local etcd has shown the same members and the same leader, by its own list. Only ever
    /// a reason to look, never to act.
    pub view_since: Option<Time>,
    /// A member list that a linearizable read on the same endpoint fenced.
    pub list: Reading<MemberList>,
    /// etcd's answer to the last membership request of this agent, if it refused.
    pub refusal: Option<String>,
    /// The last step of this agent that was not done, and why, in the words of who refused it; none once a step was done.
    pub setback: Option<(Action, String)>,
    /// A token for founding, unique to this attempt (the core has no randomness).
    pub token: String,
}

impl Observed {
    /// The observation before anything was looked at.
    #[must_use]
    pub fn nothing_yet(me: Me, token: String) -> Self {
        Self {
            me,
            hook_waits: false,
            container_ends: false,
            disk: Disk::default(),
            launcher: Launcher::Absent,
            failed_starts: None,
            workload: Reading::default(),
            hint: None,
            replicas: None,
            birth: Reading::default(),
            status_cluster: Reading::default(),
            published: Reading::default(),
            endpoint: Reading::default(),
            peers: Reading::default(),
            local: Reading::default(),
            leaderless_since: None,
            local_list: None,
            view_since: None,
            list: Reading::default(),
            refusal: None,
            setback: None,
            token,
        }
    }
}
