//! The notation of the golden scenarios.
//!
//! Seats are numbers, members and clusters are short names in hexadecimal (`a1` is the first member
//! of seat 1, `b1` its second; `c1` is a cluster). One line changes one thing:
//!
//! ```text
//! seat: 1                             whose agent decides; forgets everything else
//! etcd: absent | blocked | awaits a plan | awaits a plan, corrupt | runs
//! hook: waits | no
//! volume: empty | join a1@c1, wal a1@c1, wal seen, leftovers, tombstone a1@c1, corrupt before, unreadable
//! statefulset: wants 3 | missing | not mine | deleting          as read from the API server
//! watch: wants 3 | missing | not mine | deleting | unknown      as the watch told
//! replicas: 3                                                   the StatefulSet's, for sentences only
//! record: none | unclaimed | claimed c1 | formed c1, and: attested, by 0/v0, abandoned c1
//! status: none | c1                                             the cluster ID in the EtcdCluster's status
//! name: published | unpublished
//! pods: unknown                                                 the EndpointSlices; see `pod`
//! pod 0: gone | a0@c1 leads | a0@c1 leader a2, learner, applied 5, ending, agent empty, agent data 7
//! own: a1@c1 leads | a1@c1 leader a0, learner, applied 5 | silent | silent now
//! list: c1: 0 a0, 1 a1 learner, 2 a2 learner unstarted, other d9      fenced
//! own list: …                                                   not fenced
//! leaderless: for 6s                                            own etcd knows no leader, since then
//! refusal: some text | none
//! time: +5s | +5s, nothing read since | +60s, looking all the while
//! ```
//!
//! For everything that is read: `no answer`, `refused some words`, `unreadable some words`, and `unknown`
//! (never asked).

mod show;

use std::collections::BTreeMap;
use std::time::Duration;

use muster_membership::*;
pub(crate) use show::show;

/// What is observed, apart from the times; those are set when a decision is made.
pub(crate) struct Scene {
    o: Observed,
    /// When everything was read.
    read_at: Time,
    pub(crate) now: Time,
    pub(crate) memory: Memory,
}

const START: Time = Time(1_000_000);

impl Scene {
    pub(crate) fn new() -> Self {
        Self {
            o: unknown(0),
            read_at: START,
            now: START,
            memory: Memory::default(),
        }
    }

    /// The observation with its times.
    pub(crate) fn observed(&self) -> Observed {
        let mut o = self.o.clone();
        let at = self.read_at;
        stamp(&mut o.workload, at);
        stamp(&mut o.birth, at);
        stamp(&mut o.status_cluster, at);
        stamp(&mut o.endpoint, at);
        stamp(&mut o.local, at);
        stamp(&mut o.list, at);
        if let Some((_, peers)) = &mut o.peers.seen {
            for peer in peers.values_mut() {
                stamp(&mut peer.etcd, at);
                stamp(&mut peer.agent, at);
            }
        }
        stamp(&mut o.peers, at);
        o
    }

    /// Looks every second until `end`, at what there was before the other lines of this block.
    fn look_until(&mut self, end: Time) {
        while self.read_at < end {
            self.read_at = self.read_at.after(Duration::from_secs(1)).min(end);
            self.memory = muster_membership::decide(&self.observed(), &self.memory, self.read_at).memory;
        }
    }

    /// Carries out one line of input.
    pub(crate) fn change(&mut self, line: &str) -> Result<(), String> {
        let (key, value) = line
            .split_once(':')
            .ok_or_else(|| format!("`{line}` is not `key: value`"))?;
        let value = value.trim();
        let o = &mut self.o;
        match key {
            "seat" => {
                o.clone_from(&unknown(number(value)?));
                self.memory = Memory::default();
            }
            "etcd" => o.launcher = launcher(value)?,
            "hook" => o.hook_waits = value == "waits",
            "volume" => o.disk = disk(value)?,
            "statefulset" => o.workload = reading(value, workload)?,
            "watch" => {
                o.hint = if value == "unknown" {
                    None
                } else {
                    Some(workload(value)?)
                };
            }
            "replicas" => o.replicas = Some(number(value)?),
            "leaderless" => {
                let seconds = value.strip_prefix("for ").and_then(|v| v.strip_suffix('s'));
                let millis = 1000 * number::<u64>(seconds.ok_or("leaderless: for 6s")?)?;
                o.leaderless_since = Some(Time(self.now.0 - millis));
            }
            "record" => o.birth = reading(value, record)?,
            "status" => {
                o.status_cluster = reading(value, |v| {
                    if v == "none" {
                        Ok(None)
                    } else {
                        id(v).map(|x| Some(ClusterId(x)))
                    }
                })?;
            }
            "name" => {
                o.endpoint = reading(value, |v| {
                    Ok(if v == "published" {
                        Endpoint::Published
                    } else {
                        Endpoint::Unpublished
                    })
                })?;
            }
            "pods" => o.peers = reading(value, |_| Ok(BTreeMap::new()))?,
            "own" => match value {
                "silent" => o.local = no_answer(),
                "silent now" => o.local.fail(self.now, Unread::Silent),
                _ => o.local = reading(value, status)?,
            },
            "list" => o.list = reading(value, list)?,
            "own list" => o.local_list = Some(list(value)?),
            "refusal" => o.refusal = (value != "none").then(|| value.to_owned()),
            "time" => {
                let (by, rest) = value.split_once('s').ok_or("time: +5s")?;
                self.now = self.now.after(Duration::from_secs(number(by.trim_start_matches('+'))?));
                match rest {
                    "" => self.read_at = self.now,
                    ", nothing read since" => {}
                    ", looking all the while" => self.look_until(self.now),
                    _ => return Err(format!("`{rest}`: nothing read since, or looking all the while")),
                }
            }
            _ => {
                let seat = key
                    .strip_prefix("pod ")
                    .ok_or_else(|| format!("`{key}` is no key of the notation"))?;
                let seat = Seat(number(seat)?);
                let mut peers = o.peers.seen.take().map(|(_, peers)| peers).unwrap_or_default();
                if value == "gone" {
                    peers.remove(&seat);
                } else {
                    peers.insert(seat, peer(value)?);
                }
                o.peers = Reading::saw(START, peers);
            }
        }
        Ok(())
    }
}

fn unknown(seat: u32) -> Observed {
    let me = Me {
        seat: Seat(seat),
        name: format!("c-{seat}"),
        peer_url: url(Some(Seat(seat)), 0),
        volume: format!("v{seat}"),
    };
    Observed::nothing_yet(me, "t".into())
}

fn url(seat: Option<Seat>, member: u64) -> String {
    match seat {
        Some(Seat(i)) => format!("http://c-{i}.c-peer:2380"),
        None => format!("http://other-{member:x}:2380"),
    }
}

/// The moment that `stamp` turns into the time of the last reads.
fn stamp<T>(reading: &mut Reading<T>, at: Time) {
    if let Some((time, _)) = &mut reading.seen {
        *time = at;
    }
    if let Some((time, _)) = &mut reading.failed {
        *time = at;
    }
}

fn no_answer<T>() -> Reading<T> {
    unread(Unread::Silent)
}

fn unread<T>(cause: Unread) -> Reading<T> {
    let mut reading = Reading::default();
    reading.fail(START, cause);
    reading
}

fn reading<T>(value: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Reading<T>, String> {
    Ok(match value.split_once(' ').unwrap_or((value, "")) {
        ("no", "answer") => no_answer(),
        ("refused", words) => unread(Unread::Refused(words.into())),
        ("unreadable", words) => unread(Unread::Unreadable(words.into())),
        ("unknown", "") => Reading::default(),
        _ => Reading::saw(START, parse(value)?),
    })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

fn id(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|_| format!("`{text}` is not an ID"))
}

fn identity(text: &str) -> Result<Identity, String> {
    let (member, cluster) = text
        .split_once('@')
        .ok_or_else(|| format!("`{text}` is not member@cluster"))?;
    Ok(Identity {
        member: MemberId(id(member)?),
        cluster: ClusterId(id(cluster)?),
    })
}

fn launcher(value: &str) -> Result<Launcher, String> {
    Ok(match value {
        "absent" => Launcher::Absent,
        "blocked" => Launcher::Blocked,
        "awaits a plan" => Launcher::AwaitingPlan { corrupt: false },
        "awaits a plan, corrupt" => Launcher::AwaitingPlan { corrupt: true },
        "runs" => Launcher::Running,
        _ => return Err(format!("etcd cannot be `{value}`")),
    })
}

fn disk(value: &str) -> Result<Disk, String> {
    let mut disk = Disk::default();
    for word in value.split(", ") {
        match word.split_once(' ').unwrap_or((word, "")) {
            ("empty", _) => {}
            ("wal", "seen") => disk.wal_seen = true,
            ("wal", who) => disk.wal = Some(identity(who)?),
            ("join", who) => disk.join = Some(identity(who)?),
            ("tombstone", who) => disk.tombstone = Some(identity(who)?),
            ("leftovers", _) => disk.leftovers = true,
            ("corrupt", "before") => disk.corrupt_before = true,
            ("unreadable", _) => disk.unreadable = Some("the volume cannot be read: input/output error".into()),
            _ => return Err(format!("a volume cannot hold `{word}`")),
        }
    }
    Ok(disk)
}

fn workload(value: &str) -> Result<Workload, String> {
    Ok(match value {
        "missing" => Workload::Missing,
        "not mine" => Workload::NotMine,
        "deleting" => Workload::Deleting,
        _ => Workload::Wants(Wanted(number(
            value
                .strip_prefix("wants ")
                .ok_or_else(|| format!("a StatefulSet is not `{value}`"))?,
        )?)),
    })
}

fn record(value: &str) -> Result<Option<Birth>, String> {
    if value == "none" {
        return Ok(None);
    }
    let mut birth = Birth {
        phase: BirthPhase::Unclaimed,
        no_older_volumes: false,
        founder: None,
        cluster: None,
        abandoned: None,
    };
    for word in value.split(", ") {
        match word.split_once(' ').unwrap_or((word, "")) {
            ("unclaimed", _) => {}
            ("claimed", cluster) => {
                birth.phase = BirthPhase::Claimed;
                birth.cluster = if cluster.is_empty() {
                    None
                } else {
                    Some(ClusterId(id(cluster)?))
                };
            }
            ("formed", cluster) => {
                birth.phase = BirthPhase::Formed;
                birth.cluster = Some(ClusterId(id(cluster)?));
            }
            ("attested", _) => birth.no_older_volumes = true,
            ("by", who) => {
                let (seat, volume) = who.split_once('/').ok_or("by seat/volume")?;
                birth.founder = Some(("t".into(), Seat(number(seat)?), volume.into()));
            }
            ("abandoned", cluster) => birth.abandoned = Some(ClusterId(id(cluster)?)),
            _ => return Err(format!("a record does not say `{word}`")),
        }
    }
    Ok(Some(birth))
}

fn status(value: &str) -> Result<EtcdStatus, String> {
    let (first, _) = value.split_once([' ', ',']).unwrap_or((value, ""));
    let identity = identity(first)?;
    let mut status = EtcdStatus {
        identity,
        leader: None,
        learner: false,
        applied: 100,
    };
    for word in value[first.len()..].split([' ', ',']).filter(|word| !word.is_empty()) {
        match word {
            "leads" => status.leader = Some(identity.member),
            "learner" => status.learner = true,
            "leader" | "applied" => {}
            _ => {
                let before = &value[..value.find(&format!(" {word}")).unwrap_or(0)];
                if before.ends_with("leader") {
                    status.leader = Some(MemberId(id(word)?));
                } else if before.ends_with("applied") {
                    status.applied = number(word)?;
                } else {
                    return Err(format!("a Status does not say `{word}`"));
                }
            }
        }
    }
    Ok(status)
}

fn peer(value: &str) -> Result<Peer, String> {
    let mut peer = Peer {
        terminating: false,
        etcd: no_answer(),
        agent: no_answer(),
    };
    let mut etcd = vec![];
    for word in value.split(", ") {
        match word {
            "silent" => {}
            "ending" => peer.terminating = true,
            "agent empty" | "agent data" => {
                peer.agent = Reading::saw(
                    START,
                    AgentReport {
                        has_data: word == "agent data",
                        snapshot_bytes: 0,
                    },
                );
            }
            _ => {
                if let Some(bytes) = word.strip_prefix("agent data ") {
                    let snapshot_bytes = number(bytes)?;
                    peer.agent = Reading::saw(
                        START,
                        AgentReport {
                            has_data: true,
                            snapshot_bytes,
                        },
                    );
                } else {
                    etcd.push(word);
                }
            }
        }
    }
    if !etcd.is_empty() {
        peer.etcd = Reading::saw(START, status(&etcd.join(", "))?);
    }
    Ok(peer)
}

fn list(value: &str) -> Result<MemberList, String> {
    let (cluster, members) = value.split_once(':').ok_or("list: cluster: members")?;
    let mut list = MemberList {
        cluster: ClusterId(id(cluster)?),
        members: BTreeMap::new(),
    };
    for entry in members.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let mut words = entry.split(' ');
        let seat = words.next().unwrap_or_default();
        let member = id(words.next().ok_or("seat member …")?)?;
        let seat = if seat == "other" {
            None
        } else {
            Some(Seat(number(seat)?))
        };
        let words: Vec<_> = words.collect();
        let name = if words.contains(&"unstarted") {
            String::new()
        } else {
            seat.map_or_else(|| "other".into(), |seat| format!("c-{}", seat.0))
        };
        list.members.insert(
            MemberId(member),
            Member {
                seat,
                name,
                peer_urls: vec![url(seat, member)],
                learner: words.contains(&"learner"),
            },
        );
    }
    Ok(list)
}
