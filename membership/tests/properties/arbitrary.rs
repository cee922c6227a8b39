//! Arbitrary observations: mostly coherent enough to get far, always incoherent somewhere.
//!
//! They are decoded from bytes, which proptest makes and shrinks; byte 0 always stands for the plainest choice.

mod memory;

use std::collections::BTreeMap;

pub(crate) use memory::memory;
use muster_membership::*;
use proptest::prelude::*;

pub(crate) const NOW: Time = Time(100_000_000);
const OURS: ClusterId = ClusterId(0xc1);

/// A source of choices.
struct Choices<'a> {
    /// Oddities are rare: what is deep behind many conditions is reached too.
    tidy: bool,
    /// There is no cluster yet.
    young: bool,
    bytes: std::iter::Copied<std::slice::Iter<'a, u8>>,
}

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.bytes.next().unwrap_or(0)
    }

    fn up_to(&mut self, n: u8) -> u8 {
        self.byte() % n
    }

    /// True once in `n` times.
    fn rarely(&mut self, n: u8) -> bool {
        let byte = self.byte();
        if self.tidy && n >= 8 {
            byte == 255
        } else {
            byte % n == n - 1
        }
    }

    fn cluster(&mut self) -> ClusterId {
        if self.rarely(16) { ClusterId(0xc2) } else { OURS }
    }

    /// The first member of a seat, or its second.
    fn member_of(&mut self, seat: u32) -> MemberId {
        MemberId(u64::from(seat) * 16 + u64::from(self.rarely(12)))
    }

    fn member(&mut self) -> MemberId {
        let seat = self.up_to(5);
        self.member_of(seat.into())
    }

    fn identity_of(&mut self, seat: u32) -> Identity {
        Identity {
            member: self.member_of(seat),
            cluster: self.cluster(),
        }
    }

    /// A time at which something was read: mostly lately, sometimes at the very limit.
    fn at(&mut self) -> Time {
        let choice = self.up_to(16);
        let age = match choice {
            _ if self.tidy => 200 * u64::from(choice),
            15 => 5_000,
            14 => 5_001,
            13 => 5_001 + 1_000 * u64::from(self.byte()),
            n => u64::from(n) * 300,
        };
        Time(NOW.0 - age)
    }

    fn unread(&mut self) -> Unread {
        match self.up_to(4) {
            3 => Unread::Refused("it is forbidden".into()),
            2 => Unread::Unreadable("a value is damaged".into()),
            _ => Unread::Silent,
        }
    }

    fn reading<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Reading<T> {
        let seen = if self.rarely(24) {
            None
        } else {
            Some((self.at(), value(self)))
        };
        let failed = self.rarely(20).then(|| (self.at(), self.unread()));
        Reading { seen, failed }
    }

    fn workload(&mut self) -> Workload {
        match self.up_to(16) {
            15 => Workload::Missing,
            14 => Workload::NotMine,
            13 => Workload::Deleting,
            n => Workload::Wants(Wanted(u32::from((n + 3) % 6))),
        }
    }

    fn birth(&mut self, seat: u32) -> Option<Birth> {
        if self.rarely(12) {
            return None;
        }
        let phase = match self.up_to(6) {
            _ if self.young => BirthPhase::Unclaimed,
            5 => BirthPhase::Claimed,
            4 => BirthPhase::Unclaimed,
            _ => BirthPhase::Formed,
        };
        let founder = match self.up_to(4) {
            3 => Some((Seat(seat), "v")),
            2 => Some((Seat(u32::from(self.up_to(3))), "other")),
            _ => None,
        };
        Some(Birth {
            phase,
            no_older_volumes: self.rarely(2),
            founder: founder.map(|(seat, volume)| ("t".to_owned(), seat, volume.to_owned())),
            cluster: (!self.rarely(16)).then(|| self.cluster()),
            abandoned: self.rarely(16).then(|| self.cluster()),
        })
    }

    /// Mostly everyone follows the same leader, and has caught up.
    fn status(&mut self, seat: u32, leader: MemberId) -> EtcdStatus {
        let leader = match self.up_to(16) {
            15 => None,
            14 => Some(self.member()),
            _ => Some(leader),
        };
        EtcdStatus {
            identity: self.identity_of(seat),
            leader,
            learner: self.rarely(5),
            applied: if self.rarely(8) {
                10
            } else {
                9_000 + 3 * u64::from(self.byte())
            },
        }
    }

    fn peer(&mut self, seat: u32, leader: MemberId) -> Peer {
        Peer {
            terminating: self.rarely(10),
            etcd: if self.young || self.rarely(4) {
                Reading::default()
            } else {
                self.reading(|c| c.status(seat, leader))
            },
            agent: self.reading(|c| AgentReport {
                has_data: !c.young && c.rarely(3),
                snapshot_bytes: c.up_to(3).into(),
            }),
        }
    }

    fn peers(&mut self, mine: u32, leader: MemberId) -> BTreeMap<Seat, Peer> {
        let mut peers = BTreeMap::new();
        for seat in (0..5).filter(|seat| *seat != mine) {
            if !self.rarely(5) {
                peers.insert(Seat(seat), self.peer(seat, leader));
            }
        }
        peers
    }

    fn list(&mut self) -> MemberList {
        let mut list = MemberList {
            cluster: self.cluster(),
            members: BTreeMap::new(),
        };
        for seat in 0..5u32 {
            let entries = match self.up_to(8) {
                7 => 2,
                6 | 5 => 0,
                _ => 1,
            };
            for _ in 0..entries {
                let member = Member {
                    seat: (!self.rarely(24)).then_some(Seat(seat)),
                    name: if self.rarely(6) {
                        String::new()
                    } else {
                        format!("c-{seat}")
                    },
                    peer_urls: vec![format!("http://c-{seat}.c-peer:2380")],
                    learner: self.rarely(5),
                };
                list.members.insert(self.member_of(seat), member);
            }
        }
        list
    }

    fn disk(&mut self, seat: u32) -> Disk {
        let wal = self.rarely(2).then(|| self.identity_of(seat));
        Disk {
            wal,
            join: self.rarely(3).then(|| self.identity_of(seat)),
            wal_seen: wal.is_some() != self.rarely(8),
            leftovers: self.rarely(8),
            nameless: self.rarely(4),
            tombstone: self.rarely(8).then(|| self.identity_of(seat)),
            corrupt_before: self.rarely(4),
            unreadable: self.rarely(40).then(|| "the volume cannot be read".into()),
        }
    }

    fn since(&mut self) -> Time {
        Time(NOW.0 - 1_000 * u64::from(self.byte()) * u64::from(self.up_to(4)))
    }
}

fn bytes(words: usize) -> impl Strategy<Value = Vec<u8>> {
    let words = proptest::collection::vec(any::<u64>(), words);
    words.prop_map(|words| words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// Anything that one agent may have seen.
pub(crate) fn observed() -> impl Strategy<Value = Observed> {
    bytes(48).prop_map(|bytes| decode_observed(&bytes))
}

fn decode_observed(bytes: &[u8]) -> Observed {
    let c = &mut Choices {
        tidy: bytes[0].is_multiple_of(2),
        young: bytes[0] % 8 == 6,
        bytes: bytes[1..].iter().copied(),
    };
    let seat = u32::from(c.up_to(5).min(c.up_to(5)));
    let leader = MemberId(u64::from(c.up_to(5)) * 16);
    let hook_waits = c.rarely(6);
    Observed {
        me: Me {
            seat: Seat(seat),
            name: format!("c-{seat}"),
            peer_url: format!("http://c-{seat}.c-peer:2380"),
            volume: "v".into(),
        },
        hook_waits,
        container_ends: hook_waits || c.rarely(6),
        disk: c.disk(seat),
        launcher: match c.up_to(16) {
            15 => Launcher::Absent,
            14 => Launcher::Blocked,
            13 => Launcher::AwaitingPlan { corrupt: true },
            12 => Launcher::LockFails { why: "no".into() },
            n if n % 2 == 0 => Launcher::AwaitingPlan { corrupt: false },
            _ => Launcher::Running,
        },
        workload: c.reading(Choices::workload),
        hint: (!c.rarely(8)).then(|| c.workload()),
        replicas: c.rarely(2).then(|| c.up_to(6).into()),
        leaderless_since: c.rarely(2).then(|| c.since()),
        birth: c.reading(|c| c.birth(seat)),
        status_cluster: c.reading(|c| c.rarely(4).then(|| c.cluster())),
        endpoint: c.reading(|c| {
            if c.rarely(10) {
                Endpoint::Unpublished
            } else {
                Endpoint::Published
            }
        }),
        local: c.reading(|c| c.status(seat, leader)),
        local_list: (!c.rarely(8)).then(|| c.list()),
        list: c.reading(Choices::list),
        view_since: c.rarely(2).then(|| c.since()),
        published: c.reading(|c| {
            (!c.rarely(8)).then(|| Published {
                version: "7".into(),
                leader: (!c.rarely(4)).then(|| format!("c-{}", c.up_to(5))),
                list: (!c.rarely(4)).then(|| c.list()),
            })
        }),
        refusal: c.rarely(2).then(|| "etcdserver: unhealthy cluster".into()),
        failed_starts: c.rarely(3).then(|| FailedStarts {
            words: "no such flag".into(),
            count: u32::from(c.up_to(9)),
            last: c.since(),
        }),
        setback: c.rarely(3).then(|| (Action::MarkFormed, "forbidden".into())),
        peers: c.reading(|c| c.peers(seat, leader)),
        token: "t".into(),
    }
}

fn blind<T>(reading: &mut Reading<T>, how: u8, at: u64) {
    match how {
        0 => *reading = Reading::default(),
        1 => {
            // Everything is too old.
            if let Some((time, _)) = &mut reading.seen {
                *time = Time(NOW.0 - 5_001 - at);
            }
        }
        _ => {
            // The last read got no answer.
            reading.fail(Time(NOW.0 - at), Unread::Silent);
            if let Some((time, _)) = &mut reading.seen {
                *time = Time(NOW.0 - at - 1);
            }
        }
    }
}

/// The same, with every failed read a silent one.
pub(crate) fn silenced(o: &Observed) -> Observed {
    fn silence<T>(reading: &mut Reading<T>) {
        if let Some((_, cause)) = &mut reading.failed {
            *cause = Unread::Silent;
        }
    }
    let mut o = o.clone();
    silence(&mut o.workload);
    silence(&mut o.birth);
    silence(&mut o.status_cluster);
    silence(&mut o.published);
    silence(&mut o.endpoint);
    silence(&mut o.peers);
    silence(&mut o.local);
    silence(&mut o.list);
    if let Some((_, peers)) = &mut o.peers.seen {
        for peer in peers.values_mut() {
            silence(&mut peer.etcd);
            silence(&mut peer.agent);
        }
    }
    o
}

/// The same with nothing known from outside the pod.
pub(crate) fn blinded(o: &Observed, how: u8, at: u64) -> Observed {
    let mut o = o.clone();
    blind(&mut o.workload, how, at);
    blind(&mut o.birth, how, at);
    blind(&mut o.status_cluster, how, at);
    blind(&mut o.published, how, at);
    blind(&mut o.endpoint, how, at);
    blind(&mut o.peers, how, at);
    blind(&mut o.list, how, at);
    if let Some((_, peers)) = &mut o.peers.seen {
        for peer in peers.values_mut() {
            blind(&mut peer.etcd, how, at);
            blind(&mut peer.agent, how, at);
        }
    }
    o
}

/// The same with data that nothing speaks against, in a pod that does not end: the peers list its member, or nobody
/// answers.
pub(crate) fn with_data(mut o: Observed, peers_answer: bool) -> Observed {
    let member = MemberId(u64::from(o.me.seat.0) * 16);
    let wal = *o.disk.wal.get_or_insert(Identity { member, cluster: OURS });
    o.disk.tombstone = o.disk.tombstone.filter(|gone| *gone != wal);
    o.disk.unreadable = None;
    o.hook_waits = false;
    o.container_ends = false;
    o.launcher = Launcher::AwaitingPlan { corrupt: false };
    match &mut o.list.seen {
        Some((_, list)) if peers_answer => {
            let me = Member {
                seat: Some(o.me.seat),
                name: o.me.name.clone(),
                peer_urls: vec![o.me.peer_url.clone()],
                learner: false,
            };
            list.cluster = wal.cluster;
            list.members.insert(wal.member, me);
            o.list = Reading::saw(NOW, list.clone());
        }
        _ => {
            o.list.fail(NOW, Unread::Silent);
            // Without a name, somebody has to say that it is no copy.
            o.disk.nameless = false;
        }
    }
    o
}

fn settle<T: Clone>(mine: &mut Reading<T>, answer: &Reading<T>, now: Time, fails: bool) {
    match &answer.seen {
        Some((_, value)) if !fails => *mine = Reading::saw(now, value.clone()),
        _ => mine.fail(now, Unread::Silent),
    }
}

/// One need is answered, with what `answer` says, or is not.
pub(crate) fn answer(o: &mut Observed, answer: &Observed, need: Need, now: Time, fails: bool) {
    match need {
        Need::Workload => settle(&mut o.workload, &answer.workload, now, fails),
        Need::Birth => settle(&mut o.birth, &answer.birth, now, fails),
        Need::StatusCluster => settle(&mut o.status_cluster, &answer.status_cluster, now, fails),
        Need::Published => settle(&mut o.published, &answer.published, now, fails),
        Need::List(_) => settle(&mut o.list, &answer.list, now, fails),
        Need::Peers => {
            settle(&mut o.endpoint, &answer.endpoint, now, fails);
            settle(&mut o.peers, &answer.peers, now, fails);
            if let Some((_, peers)) = &mut o.peers.seen {
                for peer in peers.values_mut() {
                    let (etcd, agent) = (peer.etcd.clone(), peer.agent.clone());
                    settle(&mut peer.etcd, &etcd, now, fails);
                    settle(&mut peer.agent, &agent, now, fails);
                }
            }
        }
    }
}

/// The local etcd is asked before every decision.
pub(crate) fn refresh_own(o: &mut Observed, now: Time) {
    if let Some((time, _)) = &mut o.local.seen {
        *time = now;
    }
}

/// Sets the times of all readings.
pub(crate) fn retime(o: &mut Observed, times: &[u64]) {
    fn set<T>(reading: &mut Reading<T>, seen: u64, failed: u64) {
        if let Some((time, _)) = &mut reading.seen {
            *time = Time(seen);
        }
        if let Some((time, _)) = &mut reading.failed {
            *time = Time(failed);
        }
    }
    set(&mut o.workload, times[0], times[1]);
    set(&mut o.birth, times[2], times[3]);
    set(&mut o.endpoint, times[3], times[4]);
    set(&mut o.peers, times[4], times[5]);
    set(&mut o.local, times[5], times[6]);
    set(&mut o.list, times[6], times[7]);
}
