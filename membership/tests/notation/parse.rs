//! The words of the notation, as values.

use std::collections::BTreeMap;

use muster_membership::*;

use super::START;

pub(super) fn url(seat: Option<Seat>, member: u64) -> String {
    match seat {
        Some(Seat(i)) => format!("http://c-{i}.c-peer:2380"),
        None => format!("http://other-{member:x}:2380"),
    }
}

pub(super) fn no_answer<T>() -> Reading<T> {
    unread(Unread::Silent)
}

pub(super) fn unread<T>(cause: Unread) -> Reading<T> {
    let mut reading = Reading::default();
    reading.fail(START, cause);
    reading
}

pub(super) fn reading<T>(value: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Reading<T>, String> {
    Ok(match value.split_once(' ').unwrap_or((value, "")) {
        ("no", "answer") => no_answer(),
        ("refused", words) => unread(Unread::Refused(words.into())),
        ("unreadable", words) => unread(Unread::Unreadable(words.into())),
        ("unknown", "") => Reading::default(),
        _ => Reading::saw(START, parse(value)?),
    })
}

pub(super) fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

pub(super) fn id(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|_| format!("`{text}` is not an ID"))
}

pub(super) fn since(text: &str, now: Time) -> Result<Time, String> {
    let seconds = text.strip_prefix("for ").and_then(|text| text.strip_suffix('s'));
    let seconds: u64 = number(seconds.ok_or("for 6s")?)?;
    Ok(Time(now.0 - 1000 * seconds))
}

pub(super) fn identity(text: &str) -> Result<Identity, String> {
    let (member, cluster) = text
        .split_once('@')
        .ok_or_else(|| format!("`{text}` is not member@cluster"))?;
    Ok(Identity {
        member: MemberId(id(member)?),
        cluster: ClusterId(id(cluster)?),
    })
}

pub(super) fn launcher(value: &str) -> Result<Launcher, String> {
    Ok(match value {
        "absent" => Launcher::Absent,
        "blocked" => Launcher::Blocked,
        "awaits a plan" => Launcher::AwaitingPlan { corrupt: false },
        "awaits a plan, corrupt" => Launcher::AwaitingPlan { corrupt: true },
        "runs" => Launcher::Running,
        _ => match value.strip_prefix("lock fails ") {
            Some(why) => Launcher::LockFails { why: why.into() },
            None => return Err(format!("etcd cannot be `{value}`")),
        },
    })
}

pub(super) fn disk(value: &str) -> Result<Disk, String> {
    let mut disk = Disk::default();
    for word in value.split(", ") {
        match word.split_once(' ').unwrap_or((word, "")) {
            ("empty", _) => {}
            ("wal", "seen") => disk.wal_seen = true,
            ("wal", who) => disk.wal = Some(identity(who)?),
            ("join", who) => disk.join = Some(identity(who)?),
            ("tombstone", who) => disk.tombstone = Some(identity(who)?),
            ("leftovers", _) => disk.leftovers = true,
            ("nameless", _) => disk.nameless = true,
            ("corrupt", "before") => disk.corrupt_before = true,
            ("unreadable", _) => disk.unreadable = Some("the volume cannot be read: input/output error".into()),
            _ => return Err(format!("a volume cannot hold `{word}`")),
        }
    }
    Ok(disk)
}

pub(super) fn workload(value: &str) -> Result<Workload, String> {
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

pub(super) fn record(value: &str) -> Result<Option<Birth>, String> {
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

pub(super) fn status(value: &str) -> Result<EtcdStatus, String> {
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

pub(super) fn peer(value: &str) -> Result<Peer, String> {
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

pub(super) fn list(value: &str) -> Result<MemberList, String> {
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

pub(super) fn published(value: &str) -> Result<Option<Published>, String> {
    let version = "7".to_owned();
    Ok(match value {
        "none" => None,
        "nothing" => Some(Published {
            version,
            leader: None,
            list: None,
        }),
        _ => {
            let (leader, members) = value.split_once(' ').ok_or("published: leader list")?;
            let list = list(members)?;
            let leader = list.members.get(&MemberId(id(leader)?)).map(|m| m.name.clone());
            Some(Published {
                version,
                leader,
                list: Some(list),
            })
        }
    })
}

/// The last step that was not done.
pub(super) fn setback(value: &str) -> Result<Option<(Action, String)>, String> {
    let (step, words) = value.split_once(' ').unwrap_or((value, ""));
    let action = match step {
        "none" => return Ok(None),
        "claim" => Action::ClaimBirth {
            token: "before".into(),
            cluster: ClusterId(0xc0),
        },
        "record" => Action::MarkFormed,
        "prune" => Action::PruneArchives,
        "archive" => Action::Archive(ArchiveReason::Removed),
        _ => return Err(format!("a setback is not of `{step}`")),
    };
    Ok(Some((action, words.into())))
}

/// Failed starts of etcd in a row, and the time since the last one.
pub(super) fn failed_starts(value: &str, now: Time) -> Result<Option<FailedStarts>, String> {
    if value == "none" {
        return Ok(None);
    }
    let parts: Vec<_> = value.splitn(4, ' ').collect();
    let [count, "for", seconds, words] = parts[..] else {
        return Err("failed starts: count for 2s words".into());
    };
    Ok(Some(FailedStarts {
        words: words.into(),
        count: number(count)?,
        last: since(&format!("for {seconds}"), now)?,
    }))
}
