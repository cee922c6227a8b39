//! Recoveries: some need no command, and the others say so.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::ctx::Ctx;
use crate::procs;
use crate::scenario::{Scenario, scenario};
use crate::wait::{holds, secs, until};
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "corrupt-minority",
        "one seat's log is damaged: its data is set aside, and it joins again",
        corrupt
    ),
    scenario!(
        "quorum-lost",
        "two of three hang, and the cluster says so; they come back, and it goes on by itself",
        lost_for_a_while
    ),
    scenario!(
        "quorum-lost-for-good",
        "two of three lose their volumes: nothing is forced, and what is alive stays readable",
        lost_for_good
    ),
    scenario!(
        "every-volume-lost",
        "all volumes are gone: nothing is founded, and the command that the status names starts over",
        every_volume
    ),
];

async fn corrupt(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    let writer = Writer::start(&cluster).await?;
    damage_log(&cluster, 2)?;
    until("another member on seat 2", secs(180), async || {
        let after = cluster.converged(3, secs(5)).await?;
        ensure!(
            after.members.get(&cluster.seat(2)) != before.members.get(&cluster.seat(2)),
            "it is still the old one"
        );
        Ok(())
    })
    .await?;
    let after = cluster.converged(3, secs(30)).await?;
    for seat in [0, 1] {
        let name = cluster.seat(seat);
        ensure!(
            after.members.get(&name) == before.members.get(&name),
            "{name} is another member: {before:?}, {after:?}"
        );
    }
    let archives = procs_root(&cluster, 2)?.join("var/lib/etcd/archive");
    let kept = std::fs::read_dir(&archives).with_context(|| archives.display().to_string())?;
    ensure!(kept.count() > 0, "the damaged data was not kept");
    writer.finish(&cluster).await?;
    cluster.check_data("before").await?;
    cluster.reported(&after).await
}

/// Overwrites the middle of a running member's log, and kills it.
fn damage_log(cluster: &Cluster<'_>, seat: u32) -> Result<()> {
    let process = etcd_of(cluster, seat)?;
    let logs = process.folder().join("root/var/lib/etcd/data/member/wal");
    let log = std::fs::read_dir(&logs)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
        .min()
        .context("no log")?;
    // With the process goes the way to its files.
    let mut file = OpenOptions::new().write(true).open(&log)?;
    process.signal(Signal::KILL)?;
    cluster
        .cx
        .step(format!("the log of {} is overwritten", cluster.seat(seat)));
    file.seek(SeekFrom::Start(1024))?;
    file.write_all(&[0xa5; 64])?;
    Ok(())
}

fn procs_root(cluster: &Cluster<'_>, seat: u32) -> Result<std::path::PathBuf> {
    Ok(etcd_of(cluster, seat)?.folder().join("root"))
}

fn etcd_of(cluster: &Cluster<'_>, seat: u32) -> Result<procs::Process> {
    let (namespace, name) = (&cluster.cx.namespace, cluster.seat(seat));
    procs::find(|process| process.is_etcd_of(namespace, &name))?
        .pop()
        .with_context(|| format!("etcd of {name} does not run"))
}

async fn lost_for_a_while(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    let writer = Writer::start(&cluster).await?;
    for seat in [1, 2] {
        cx.fault_at_end(&format!("cont {} etcd", cluster.path(seat)));
        cx.fault(&format!("stop {} etcd", cluster.path(seat))).await?;
    }
    says_that_the_quorum_is_lost(&cluster).await?;
    for seat in [1, 2] {
        cx.fault(&format!("cont {} etcd", cluster.path(seat))).await?;
    }
    let after = cluster.converged(3, secs(120)).await?;
    ensure!(after == before, "the membership changed: {before:?} became {after:?}");
    until("the condition QuorumLost to go", secs(60), async || {
        let status = condition(&cluster, "QuorumLost").await?;
        ensure!(status.is_none_or(|it| it["status"] == "False"), "it is still set");
        Ok(())
    })
    .await?;
    writer.finish(&cluster).await?;
    cluster.check_data("before").await?;
    cluster.reported(&after).await
}

async fn lost_for_good(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    cluster.create(3).await?;
    cluster.put_data("before").await?;
    delete_volumes(&cluster, &[1, 2]).await?;
    says_that_the_quorum_is_lost(&cluster).await?;
    holds("seat 0 alone, readable and as it was", secs(20), async || {
        let pod = cluster.pod(0).await?;
        ensure!(pod.restarts_of("etcd") == 0, "etcd of seat 0 restarted");
        let address = pod.client_address().context("seat 0 has no address")?;
        let kept = cx.world.etcd.range(&address, "data/before/", false).await?.len();
        ensure!(kept == 20, "{kept} of 20 keys are readable");
        ensure!(
            cx.world.etcd.view(&address).await?.members.len() == 3,
            "a member was removed without a quorum"
        );
        for seat in [1, 2] {
            let Some(address) = cluster.pod(seat).await?.client_address() else {
                continue;
            };
            ensure!(
                cx.world.etcd.status(&address).await.is_err(),
                "etcd serves on an empty volume of seat {seat}"
            );
        }
        Ok(())
    })
    .await
}

async fn delete_volumes(cluster: &Cluster<'_>, seats: &[u32]) -> Result<()> {
    let (cx, names) = (
        cluster.cx,
        seats.iter().map(|seat| cluster.seat(*seat)).collect::<Vec<_>>(),
    );
    cx.step(format!("the volumes of seats {seats:?} are deleted, and their pods"));
    let claims: Vec<_> = names.iter().map(|name| format!("data-{name}")).collect();
    cx.kubectl
        .run_line(&format!(
            "delete persistentvolumeclaim {} --wait=false",
            claims.join(" ")
        ))
        .await?;
    cx.kubectl
        .run_line(&format!("delete pod {} --grace-period=0 --force", names.join(" ")))
        .await?;
    Ok(())
}

async fn every_volume(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    delete_volumes(&cluster, &[0, 1, 2]).await?;
    let message = until("Stalled, as the cluster is lost", secs(120), async || {
        let condition = condition(&cluster, "Stalled").await?.context("no such condition")?;
        ensure!(
            condition["status"] == "True" && condition["reason"] == "ClusterLost",
            "it is {condition}"
        );
        Ok(condition["message"].as_str().unwrap_or_default().to_owned())
    })
    .await?;
    cx.note(format!("Stalled: {message}"));
    has_event(cx, "ClusterLost").await?;
    holds("no cluster on the empty volumes", secs(10), async || {
        for pod in cluster.pods().await?.values() {
            let Some(address) = pod.client_address() else { continue };
            ensure!(
                cx.world.etcd.status(&address).await.is_err(),
                "etcd serves on the empty volume of {}",
                pod.name
            );
        }
        Ok(())
    })
    .await?;
    let (_, command) = message.split_once("kubectl ").context("the message names no command")?;
    cx.step(format!("kubectl {command}"));
    let words: Vec<_> = command.split_whitespace().map(|word| word.trim_matches('\'')).collect();
    cx.watch.given_up(cluster.name());
    cx.kubectl.run(&words).await?;
    let after = cluster.converged(3, secs(120)).await?;
    ensure!(after.cluster_id != before.cluster_id, "the lost cluster's ID again");
    let address = cluster.address(0).await?;
    let found = cx.world.etcd.range(&address, "data/before/", true).await?;
    ensure!(found.is_empty(), "the new store is not empty: {found:?}");
    cluster.reported(&after).await
}

async fn says_that_the_quorum_is_lost(cluster: &Cluster<'_>) -> Result<()> {
    let cx = cluster.cx;
    let message = until("the condition QuorumLost", secs(90), async || {
        let condition = condition(cluster, "QuorumLost").await?.context("no such condition")?;
        ensure!(condition["status"] == "True", "it is {condition}");
        Ok(condition["message"].as_str().unwrap_or_default().to_owned())
    })
    .await?;
    cx.note(format!("QuorumLost: {message}"));
    ensure!(message.contains(' '), "it has no message");
    has_event(cx, "QuorumLost").await
}

async fn has_event(cx: &Ctx, reason: &str) -> Result<()> {
    until(&format!("the Event {reason}"), secs(30), async || {
        let events = cx.kubectl.run_line("get events.events.k8s.io -o json").await?;
        let events: Value = serde_json::from_str(&events)?;
        let told = events["items"].as_array().into_iter().flatten();
        let told = told.filter(|event| event["reason"] == reason).count();
        ensure!(told > 0, "there is none");
        Ok(())
    })
    .await
}

async fn condition(cluster: &Cluster<'_>, kind: &str) -> Result<Option<Value>> {
    let object = cluster.object().await?.context("no EtcdCluster")?;
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    Ok(conditions.into_iter().find(|condition| condition["type"] == kind))
}
