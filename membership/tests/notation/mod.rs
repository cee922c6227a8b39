//! The notation of the golden scenarios.
//!
//! Seats are numbers, members and clusters are short names in hexadecimal (`a1` is the first member
//! of seat 1, `b1` its second; `c1` is a cluster). One line changes one thing:
//!
//! ```text
//! seat: 1                             whose agent decides; forgets everything else
//! etcd: absent | blocked | lock fails some words | awaits a plan | awaits a plan, corrupt | runs
//! hook: waits | no
//! volume: empty | join a1@c1, wal a1@c1, wal seen, leftovers, tombstone a1@c1, corrupt before, unreadable
//! statefulset: wants 3 | missing | not mine | deleting          as read from the API server
//! watch: wants 3 | missing | not mine | deleting | unknown      as the watch told
//! replicas: 3                                                   the StatefulSet's, for sentences only
//! record: none | unclaimed | claimed c1 | formed c1, and: attested, by 0/v0, abandoned c1
//! status: none | c1                                             the cluster ID in the EtcdCluster's status
//! published: none | a1 c1: 0 a0, 1 a1 | nothing                  the leader and the members in the EtcdCluster's status
//! unchanged: for 6s                                             the local etcd's members and leader, since then
//! name: published | unpublished
//! pods: unknown                                                 the EndpointSlices; see `pod`
//! pod 0: gone | a0@c1 leads | a0@c1 leader a2, learner, applied 5, ending, agent empty, agent data 7
//! own: a1@c1 leads | a1@c1 leader a0, learner, applied 5 | silent | silent now
//! list: c1: 0 a0, 1 a1 learner, 2 a2 learner unstarted, other d9      fenced
//! own list: …                                                   not fenced
//! leaderless: for 6s                                            the local etcd knows no leader, since then
//! refusal: some text | none
//! failed starts: 3 for 2s some text | none
//! setback: claim some text | record some text | prune some text | archive some text | none
//! time: +5s | +5s, nothing read since | +60s, looking all the while
//! ```
//!
//! For everything that is read: `no answer`, `refused some words`, `unreadable some words`, and `unknown`
//! (never asked).

mod parse;
mod show;

use std::collections::BTreeMap;
use std::time::Duration;

use muster_membership::*;
use parse::{
    disk, failed_starts, id, launcher, list, no_answer, number, peer, published, reading, record, setback, since,
    status, url, workload,
};
pub(crate) use show::show;

/// The observation, apart from its times; those are set when a decision is made.
pub(crate) struct Scene {
    o: Observed,
    /// The time at which everything was read.
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
        stamp(&mut o.published, at);
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
            // "answered": the container has not ended yet.
            "hook" => {
                o.hook_waits = value == "waits";
                o.container_ends = ["waits", "answered"].contains(&value);
            }
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
            "leaderless" => o.leaderless_since = Some(since(value, self.now)?),
            "unchanged" => o.view_since = Some(since(value, self.now)?),
            "published" => o.published = reading(value, published)?,
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
            "failed starts" => o.failed_starts = failed_starts(value, self.now)?,
            "setback" => o.setback = setback(value)?,
            "time" => self.pass(value)?,
            _ => {
                let seat = key
                    .strip_prefix("pod ")
                    .ok_or_else(|| format!("`{key}` is no key of the notation"))?;
                self.change_pod(Seat(number(seat)?), value)?;
            }
        }
        Ok(())
    }

    fn change_pod(&mut self, seat: Seat, value: &str) -> Result<(), String> {
        let seen = self.o.peers.seen.take();
        let mut peers = seen.map(|(_, peers)| peers).unwrap_or_default();
        if value == "gone" {
            peers.remove(&seat);
        } else {
            peers.insert(seat, peer(value)?);
        }
        self.o.peers = Reading::saw(START, peers);
        Ok(())
    }

    /// Lets time pass.
    fn pass(&mut self, value: &str) -> Result<(), String> {
        let (by, rest) = value.split_once('s').ok_or("time: +5s")?;
        self.now = self.now.after(Duration::from_secs(number(by.trim_start_matches('+'))?));
        match rest {
            "" => self.read_at = self.now,
            ", nothing read since" => {}
            ", looking all the while" => self.look_until(self.now),
            _ => return Err(format!("`{rest}`: nothing read since, or looking all the while")),
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

/// Sets the times of a reading to those of the last reads.
fn stamp<T>(reading: &mut Reading<T>, at: Time) {
    if let Some((time, _)) = &mut reading.seen {
        *time = at;
    }
    if let Some((time, _)) = &mut reading.failed {
        *time = at;
    }
}
