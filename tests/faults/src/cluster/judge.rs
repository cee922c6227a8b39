//! The judge: etcd itself, on every pod; the volumes; and what agents say, last.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use futures::future::join_all;
use muster_agent::volume::wal;
use muster_api::birth::Founding;
use muster_api::names::AGENT_PORT;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::etcd::View;
use super::sampler::Seen;
use super::{Cluster, etcd};
use crate::fake_kubernetes::CLUSTER;

/// The time without a request for a change of membership after which the agents are at rest.
const REST: Duration = Duration::from_millis(1500);

/// A cluster at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled {
    /// etcd's cluster ID.
    pub(crate) cluster_id: u64,
    /// Member IDs by seat.
    pub(crate) members: BTreeMap<u32, u64>,
}

/// Checks that the members are exactly the seats below `wanted`, all of them started voters by the
/// list of each, the pods are those, the record says so, and the agents are at rest.
pub(crate) async fn look(cluster: &Cluster, wanted: u32) -> Result<Settled> {
    let settled = look_at_etcd(cluster, wanted).await?;
    let pods: Vec<_> = cluster.pods().iter().map(|pod| pod.spec.seat).collect();
    ensure!(
        pods == (0..wanted).collect::<Vec<_>>(),
        "there are pods of seats {pods:?}"
    );
    let record = cluster.objects.birth_record().context("there is no birth record")?;
    ensure!(
        matches!(&record.phase, Founding::Formed(formed) if formed.cluster_id.0 == settled.cluster_id),
        "the birth record is {:?}",
        record.phase
    );
    for pod in cluster.pods() {
        let report = agent_report(pod.address).await.with_context(|| pod.uid.clone())?;
        ensure!(
            report["phase"] == "Voter",
            "{} is {}: {}",
            pod.uid,
            report["phase"],
            report["why"]
        );
    }
    ensure!(cluster.gate.quiet_for() > REST, "agents ask for changes of membership");
    Ok(settled)
}

/// Checks as `look` does, by etcd alone.
pub(crate) async fn look_at_etcd(cluster: &Cluster, wanted: u32) -> Result<Settled> {
    let views = join_all((0..wanted).map(async |seat| {
        let pod = cluster.pod(seat)?;
        let view = etcd::fenced_view(pod.address).await;
        view.with_context(|| format!("seat {seat}"))
    }))
    .await;
    let mut settled: Option<Settled> = None;
    for (seat, view) in (0..).zip(views) {
        let seen = members_are(seat, &view?, wanted)?;
        match &settled {
            Some(before) => ensure!(*before == seen, "seat {seat} says {seen:x?}, but seat 0 {before:x?}"),
            None => settled = Some(seen),
        }
    }
    settled.context("no seat is wanted")
}

fn members_are(seat: u32, view: &View, wanted: u32) -> Result<Settled> {
    let names = muster_api::Names::new(CLUSTER);
    let mut members = BTreeMap::new();
    for member in &view.members {
        let label = format!("{:016x} ({})", member.id, member.peer_url);
        ensure!(
            !member.name.is_empty(),
            "seat {seat} lists {label}, which never started"
        );
        ensure!(!member.learner, "seat {seat} lists {label} as a learner");
        let of = names
            .seat_of_peer_url(&member.peer_url)
            .with_context(|| format!("seat {seat} lists {label}"))?;
        ensure!(
            members.insert(of, member.id).is_none(),
            "seat {seat} lists two members of seat {of}"
        );
    }
    let seats: Vec<_> = members.keys().copied().collect();
    ensure!(
        seats == (0..wanted).collect::<Vec<_>>(),
        "seat {seat} lists members of seats {seats:?}"
    );
    ensure!(
        members.get(&seat) == Some(&view.answered_by),
        "seat {seat} is answered by {:016x}",
        view.answered_by
    );
    Ok(Settled {
        cluster_id: view.cluster_id,
        members,
    })
}

/// Asks an agent for its `/status`.
pub(crate) async fn agent_report(address: Ipv4Addr) -> Result<Value> {
    let work = async {
        let mut stream = TcpStream::connect((address, AGENT_PORT)).await?;
        stream
            .write_all(format!("GET /status HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes())
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        Ok(serde_json::from_str(body)?)
    };
    let answer = tokio::time::timeout(Duration::from_secs(1), work).await;
    answer.unwrap_or_else(|_| Err(anyhow!("its agent does not answer")))
}

/// Checks what the sampler saw, and what lies on all the volumes there ever were: no cluster but
/// `allowed`, and no member on two volumes.
pub(crate) fn check_history(cluster: &Cluster, seen: &Seen, allowed: &BTreeSet<u64>) -> Vec<String> {
    let mut problems = seen.violations.clone();
    if seen.answers == 0 {
        problems.push("no etcd was ever seen".to_owned());
    }
    let strangers: Vec<_> = seen.clusters.difference(allowed).collect();
    if !strangers.is_empty() {
        problems.push(format!(
            "more than one cluster was served: {strangers:016x?} beside {allowed:016x?}"
        ));
    }
    let mut owners: BTreeMap<u64, std::path::PathBuf> = BTreeMap::new();
    for volume in cluster.volumes.borrow().all() {
        let archived = std::fs::read_dir(volume.join("archive"))
            .into_iter()
            .flatten()
            .flatten();
        // In a founder's log that was cut short before its first write there is nothing to be lost.
        let held = archived.filter(|entry| !entry.file_name().to_string_lossy().ends_with("-unborn"));
        let folders = held.map(|entry| entry.path()).chain([volume.clone()]);
        // Each folder once: a member is started on one volume only, and never again after it was set aside.
        for folder in folders {
            let Ok(Some(found)) = wal::read_metadata(&folder.join("data")) else {
                continue;
            };
            if let Some(other) = owners.insert(found.node_id, folder.clone()) {
                problems.push(format!(
                    "member {:016x} has data in {} and in {}",
                    found.node_id,
                    other.display(),
                    folder.display()
                ));
            }
            if !allowed.contains(&found.cluster_id) {
                problems.push(format!(
                    "{} has data of cluster {:016x}",
                    folder.display(),
                    found.cluster_id
                ));
            }
        }
    }
    problems.extend(panics(cluster));
    problems
}

/// The last line of an etcd 3.5 that was asked for its status right after it was removed.
const REMOVED: &str = "panic: failed to find local ID in cluster members";

/// Programs that panicked.
fn panics(cluster: &Cluster) -> Vec<String> {
    let logs = std::fs::read_dir(&cluster.folder).into_iter().flatten().flatten();
    logs.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "log"))
        .filter_map(|entry| {
            let text = std::fs::read(entry.path()).ok()?;
            let text = String::from_utf8_lossy(&text);
            let line = text
                .lines()
                .find(|line| line.contains("panicked at") || (line.starts_with("panic: ") && *line != REMOVED))?;
            Some(format!("{}: {line}", entry.file_name().to_string_lossy()))
        })
        .collect()
}
