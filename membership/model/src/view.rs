//! A view: everything in the world that one agent's decision depends on, and the same in the core's words.

use std::collections::BTreeMap;

use muster_membership as core;
use muster_membership::{
    AgentReport, Birth, BirthPhase, ClusterId, Disk, Endpoint, EtcdStatus, Identity, Launcher, Me, Member, MemberId,
    MemberList, Need, Observed, Peer, Reading, Unread, Wanted, Workload,
};

use crate::etcd;
use crate::intern::Pools;
use crate::state::{ApiRead, Config, Id, Pod, Record, SEATS, State};
use crate::time::NOW;

/// An etcd's answer to Status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Status {
    pub(crate) id: Id,
    pub(crate) leader: Option<Id>,
    pub(crate) learner: bool,
    pub(crate) caught_up: bool,
}

/// Another seat, as it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Other {
    pub(crate) ending: bool,
    pub(crate) etcd: Option<Status>,
    pub(crate) has_data: Option<bool>,
}

/// Everything that one decision depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct View {
    pub(crate) seat: usize,
    pub(crate) hook_waits: bool,
    pub(crate) running: bool,
    pub(crate) wal: Option<Id>,
    pub(crate) join: Option<Id>,
    pub(crate) tombstone: Option<Id>,
    pub(crate) wal_seen: bool,
    pub(crate) leftovers: bool,
    pub(crate) corrupt: bool,
    pub(crate) corrupt_before: bool,
    pub(crate) founder: bool,
    pub(crate) memory: u32,
    /// The API server's answer; none if it did not answer.
    pub(crate) api: Option<ApiRead>,
    /// The wanted seats, and whether the StatefulSet is being deleted, as the watch tells.
    pub(crate) hint: Option<(u8, bool)>,
    pub(crate) status_cluster: u8,
    pub(crate) claims: u8,
    pub(crate) cluster: u8,
    pub(crate) others: [Option<Other>; SEATS],
    pub(crate) local: Option<Status>,
    pub(crate) local_list: u32,
    pub(crate) list: Option<u32>,
}

fn status(s: &State, pools: &Pools, working: Option<Id>, seat: usize) -> Option<Status> {
    let id = s.seats[seat].wal.filter(|_| s.seats[seat].running)?;
    let entry = etcd::entry(pools.configs.get(s.seats[seat].view), id).copied();
    Some(Status {
        id,
        leader: etcd::known_leader(s, working, seat),
        learner: entry.is_some_and(|e| e.learner),
        caught_up: entry.is_none_or(|e| !e.learner) || s.caught_up & id.bit() != 0,
    })
}

impl View {
    /// The view of seat `i`'s agent.
    #[must_use]
    pub fn of(s: &State, pools: &Pools, i: usize) -> Self {
        let me = &s.seats[i];
        let working = etcd::working_leader(s, pools);
        let api = me.read.or(s.api(i));
        let mut others = [None; SEATS];
        for (j, other) in others.iter_mut().enumerate() {
            let seat = &s.seats[j];
            if j == i || seat.pod == Pod::Gone || !s.api_answers(i) {
                continue;
            }
            let reached = s.linked(i, j);
            *other = Some(Other {
                ending: seat.pod == Pod::Ending,
                etcd: status(s, pools, working, j).filter(|_| reached),
                has_data: reached.then_some(seat.wal.is_some() || seat.join.is_some()),
            });
        }
        Self {
            seat: i,
            hook_waits: me.hook_waits(),
            running: me.running,
            wal: me.wal,
            join: me.join,
            tombstone: me.tombstone,
            wal_seen: me.wal_seen,
            leftovers: me.leftovers,
            corrupt: me.corrupt,
            corrupt_before: me.corrupt_before,
            founder: match api.map(|api| api.record) {
                Some(Record::Claimed(claim)) => me.claim == claim,
                Some(Record::Formed { claim, founder_known }) => founder_known && me.claim == claim,
                _ => false,
            },
            memory: me.memory,
            api,
            hint: s.api(i).map(|api| (api.wanted, api.deleting)),
            status_cluster: if s.published { s.cluster } else { 0 },
            claims: s.claims,
            cluster: s.cluster,
            others,
            local: status(s, pools, working, i),
            local_list: if me.running { me.view } else { 0 },
            list: etcd::can_read(s, pools, working, i).then_some(s.config),
        }
    }

    /// The view in the core's words, before anything has been asked for.
    pub(crate) fn observed(&self, pools: &Pools) -> Observed {
        Observed {
            me: Me {
                seat: core::Seat(u32::try_from(self.seat).unwrap_or(0)),
                name: format!("c-{}", self.seat),
                peer_url: url(self.seat),
                volume: "mine".into(),
            },
            hook_waits: self.hook_waits,
            // Between the hook's answer and the end of the container the model knows no moment.
            container_ends: self.hook_waits,
            disk: Disk {
                wal: self.wal.map(|id| self.identity(id)),
                join: self.join.map(|id| self.identity(id)),
                wal_seen: self.wal_seen,
                leftovers: self.leftovers,
                nameless: false,
                tombstone: self.tombstone.map(|id| self.identity(id)),
                corrupt_before: self.corrupt_before,
                unreadable: None,
            },
            launcher: if self.running {
                Launcher::Running
            } else {
                Launcher::AwaitingPlan { corrupt: self.corrupt }
            },
            workload: Reading::default(),
            hint: self.hint.map(|(wanted, deleting)| workload(wanted, deleting)),
            replicas: None,
            leaderless_since: None,
            birth: Reading::default(),
            status_cluster: Reading::default(),
            published: Reading::default(),
            view_since: None,
            endpoint: Reading::default(),
            peers: Reading::default(),
            local: self.local.map_or_else(failed, |s| Reading::saw(NOW, self.status(s))),
            local_list: self.running.then(|| self.members(pools.configs.get(self.local_list))),
            list: Reading::default(),
            refusal: None,
            setback: None,
            failed_starts: None,
            token: token(self.claims + 1),
        }
    }

    /// Adds the answer to one need.
    pub(crate) fn answer(&self, o: &mut Observed, need: Need, pools: &Pools) {
        match need {
            Need::Workload => match self.api {
                Some(api) => o.workload = Reading::saw(NOW, workload(api.wanted, api.deleting)),
                None => o.workload.fail(NOW, Unread::Silent),
            },
            Need::Birth => match self.api {
                Some(api) => o.birth = Reading::saw(NOW, self.birth(api.record)),
                None => o.birth.fail(NOW, Unread::Silent),
            },
            Need::StatusCluster if self.api.is_some() => {
                let known = (self.status_cluster > 0).then(|| cluster_id(self.status_cluster));
                o.status_cluster = Reading::saw(NOW, known);
            }
            Need::StatusCluster => o.status_cluster.fail(NOW, Unread::Silent),
            // Publication is not modelled: nobody's view is said to have changed.
            Need::Published => o.published.fail(NOW, Unread::Silent),
            Need::Peers if self.hint.is_some() => {
                o.endpoint = Reading::saw(NOW, Endpoint::Published);
                o.peers = Reading::saw(NOW, self.peers());
            }
            Need::Peers => {
                o.endpoint.fail(NOW, Unread::Silent);
                o.peers.fail(NOW, Unread::Silent);
            }
            Need::List(_) => match self.list {
                Some(list) => o.list = Reading::saw(NOW, self.members(pools.configs.get(list))),
                None => o.list.fail(NOW, Unread::Silent),
            },
        }
    }

    fn identity(&self, id: Id) -> Identity {
        Identity {
            member: MemberId(id.number()),
            cluster: cluster_id(self.cluster),
        }
    }

    fn status(&self, s: Status) -> EtcdStatus {
        EtcdStatus {
            identity: self.identity(s.id),
            leader: s.leader.map(|id| MemberId(id.number())),
            learner: s.learner,
            applied: if s.caught_up { 1_000_000 } else { 0 },
        }
    }

    fn birth(&self, record: Record) -> Option<Birth> {
        let (phase, attested, claim) = match record {
            Record::Missing => return None,
            Record::Unclaimed { attested } => (BirthPhase::Unclaimed, attested, 0),
            Record::Claimed(claim) => (BirthPhase::Claimed, true, claim),
            Record::Formed { claim, .. } => (BirthPhase::Formed, true, claim),
        };
        let known = !matches!(
            record,
            Record::Unclaimed { .. }
                | Record::Formed {
                    founder_known: false,
                    ..
                }
        );
        let volume = if self.founder { "mine" } else { "another" };
        Some(Birth {
            phase,
            no_older_volumes: attested,
            founder: known.then(|| (token(claim), core::Seat(0), volume.into())),
            cluster: (claim > 0).then(|| cluster_id(claim)),
            abandoned: None,
        })
    }

    fn peers(&self) -> BTreeMap<core::Seat, Peer> {
        let peer = |other: &Other| Peer {
            terminating: other.ending,
            etcd: other.etcd.map_or_else(failed, |s| Reading::saw(NOW, self.status(s))),
            agent: other.has_data.map_or_else(failed, |has_data| {
                let snapshot_bytes = 0;
                Reading::saw(
                    NOW,
                    AgentReport {
                        has_data,
                        snapshot_bytes,
                    },
                )
            }),
        };
        let seats = (0..).map(core::Seat).zip(&self.others);
        seats
            .filter_map(|(seat, other)| Some((seat, peer(other.as_ref()?))))
            .collect()
    }

    fn members(&self, config: &Config) -> MemberList {
        let member = |e: &crate::state::Entry| {
            let seat = e.id.seat();
            let name = if e.started { format!("c-{seat}") } else { String::new() };
            let member = Member {
                seat: Some(core::Seat(u32::try_from(seat).unwrap_or(0))),
                name,
                peer_urls: vec![url(seat)],
                learner: e.learner,
            };
            (MemberId(e.id.number()), member)
        };
        MemberList {
            cluster: cluster_id(self.cluster),
            members: config.iter().map(member).collect(),
        }
    }
}

fn workload(wanted: u8, deleting: bool) -> Workload {
    if deleting {
        Workload::Deleting
    } else {
        Workload::Wants(Wanted(wanted.into()))
    }
}

fn failed<T>() -> Reading<T> {
    let mut reading = Reading::default();
    reading.fail(NOW, Unread::Silent);
    reading
}

fn url(seat: usize) -> String {
    format!("http://c-{seat}.c-peer:2380")
}

/// The token of a claim.
#[must_use]
pub fn token(claim: u8) -> String {
    format!("t{claim}")
}

fn cluster_id(claim: u8) -> ClusterId {
    core::founding_cluster_id(&url(0), &token(claim))
}
