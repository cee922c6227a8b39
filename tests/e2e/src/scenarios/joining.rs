//! Joining, while something goes wrong at the worst moment.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::cluster::{By, Cluster};
use crate::ctx::Ctx;
use crate::judge::{self, Settled};
use crate::procs;
use crate::scenario::{Scenario, scenario};
use crate::wait::{holds, secs, until};
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "many-at-once",
        "1→5 in one step, then a cluster that begins with 5",
        many_at_once
    ),
    scenario!(
        "crash-while-joining",
        "1→3 while agents and etcd of the joiners are killed again and again",
        crash_while_joining
    ),
    scenario!(
        "dead-learner",
        "1→3 while one joiner's etcd hangs as soon as it runs: the other joins",
        dead_learner
    )
    .within(600),
    scenario!(
        "paused-member",
        "3→5 while a voter pauses for 20 seconds",
        paused_member
    ),
    scenario!(
        "slow-disk",
        "3→5→3 while each sync of the leader's disk takes 0.2 s longer, then that of a follower and of a joiner",
        slow_disk
    ),
    scenario!(
        "slow-disks",
        "3→5→3 while each sync of every voter's disk takes a second longer",
        slow_disks
    )
    .within(900),
    scenario!(
        "learner-dies",
        "3→4: the learner dies before its promotion, with one voter down: it is not promoted",
        learner_dies
    ),
];

async fn many_at_once(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let one = cluster.create(1).await?;
    let writer = Writer::start(&cluster).await?;
    let five = cluster.scale(5, By::Patch).await?;
    ensure!(five.cluster_id == one.cluster_id, "it is another cluster: {five:?}");
    writer.finish(&cluster).await?;
    cx.kubectl.run_line("delete etcdcluster demo").await?;
    cx.cluster("at-once").create(5).await?;
    Ok(())
}

async fn crash_while_joining(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    cluster.create(1).await?;
    cluster.put_data("before").await?;
    let writer = Writer::start(&cluster).await?;
    cluster.ask_size(3, By::Patch).await?;
    let start = Instant::now();
    let mut killed = 0;
    let joiner = |process: &procs::Process| {
        [1, 2].map(|seat| cluster.seat(seat)).iter().any(|seat| {
            process.is_etcd_of(&cx.namespace, seat)
                || (process.is_agent_in(&cx.namespace) && process.has("POD_NAME", seat))
        })
    };
    // Sometimes early, sometimes late in a process's life.
    let mut pause = 0;
    while start.elapsed() < secs(15) {
        for process in procs::find(joiner)? {
            process.signal(Signal::KILL)?;
            killed += 1;
        }
        pause = (pause + 370) % 1300;
        tokio::time::sleep(Duration::from_millis(100 + pause)).await;
    }
    cx.note(format!("{killed} processes killed"));
    ensure!(killed > 0, "no process of a joiner was found");
    // The kubelet waits longer before each start; that is its part of the time.
    cluster.converged(3, secs(240)).await?;
    writer.finish(&cluster).await?;
    cluster.check_data("before").await
}

async fn dead_learner(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    cluster.create(1).await?;
    cluster.put_data("before").await?;
    let writer = Writer::start(&cluster).await?;
    cluster.ask_size(3, By::Patch).await?;
    let hung = stop_first_learner(&cluster, &[1, 2]).await?;
    let other = 3 - hung;
    let start = Instant::now();
    let alive = cluster.pod(0).await?.client_address().unwrap_or_default();
    until("the other seat to be a voter", secs(300), async || {
        let view = cx.world.etcd.fenced_view(&alive).await?;
        let joined = view
            .members
            .iter()
            .any(|member| member.name == cluster.seat(other) && !member.learner);
        ensure!(joined, "members: {:?}", view.members);
        Ok(())
    })
    .await?;
    cx.note(format!("the other joined {:.0} s later", start.elapsed().as_secs_f64()));
    cx.fault(&format!("cont {} etcd", cluster.path(hung))).await?;
    let after = cluster.converged(3, secs(180)).await?;
    writer.finish(&cluster).await?;
    cluster.check_data("before").await?;
    cluster.reported(&after).await
}

async fn paused_member(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    cluster.lead_from(0).await?;
    let writer = Writer::start(&cluster).await?;
    cx.fault_at_end(&format!("cont {} etcd", cluster.path(1)));
    cx.fault(&format!("stop {} etcd", cluster.path(1))).await?;
    cluster.ask_size(5, By::Patch).await?;
    tokio::time::sleep(secs(20)).await;
    cx.fault(&format!("cont {} etcd", cluster.path(1))).await?;
    let after = cluster.converged(5, secs(180)).await?;
    kept(&before, &after)?;
    writer.finish(&cluster).await?;
    cluster.check_data("before").await
}

async fn slow_disk(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    cluster.lead_from(0).await?;
    let writer = Writer::start(&cluster).await?;
    slow_down(&cluster, 0, 200).await?;
    cluster.ask_size(5, By::Patch).await?;
    let five = cluster.converged(5, secs(180)).await?;
    cx.note("5 voters with a leader on a slow disk");
    kept(&before, &five)?;
    cluster.scale(3, By::Scale).await?;
    cx.note("3 again with it");
    cx.fault(&format!("fast-disk {} etcd", cluster.path(0))).await?;

    slow_down(&cluster, 1, 200).await?;
    cluster.ask_size(5, By::Patch).await?;
    let joiner = |process: &procs::Process| process.is_etcd_of(&cx.namespace, &cluster.seat(3));
    procs::appears("etcd of a joiner to start", secs(90), joiner).await?;
    slow_down(&cluster, 3, 200).await?;
    kept(&before, &cluster.converged(5, secs(180)).await?)?;
    cx.note("5 voters with a follower and a joiner on slow disks");
    writer.finish(&cluster).await?;
    cluster.check_data("before").await
}

/// The members that were there before are there under the same IDs.
fn kept(before: &Settled, after: &Settled) -> Result<()> {
    let same = |(seat, id)| after.members.get(seat) == Some(id);
    ensure!(before.members.iter().all(same), "{before:?} became {after:?}");
    Ok(())
}

/// etcd's Status, a linearizable read and a change of members take seconds each, then.
async fn slow_disks(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    let writer = Writer::start(&cluster).await?;
    for seat in 0..3 {
        slow_down(&cluster, seat, 1000).await?;
    }
    let start = Instant::now();
    cluster.ask_size(5, By::Patch).await?;
    kept(&before, &cluster.converged(5, secs(300)).await?)?;
    cx.note(format!("5 voters after {:.0} s", start.elapsed().as_secs_f64()));
    let start = Instant::now();
    cluster.ask_size(3, By::Scale).await?;
    kept(&before, &cluster.converged(3, secs(300)).await?)?;
    cx.note(format!("3 again after {:.0} s", start.elapsed().as_secs_f64()));
    for seat in 0..3 {
        cx.fault(&format!("fast-disk {} etcd", cluster.path(seat))).await?;
    }
    writer.finish(&cluster).await?;
    cluster.check_data("before").await
}

/// Every sync of this seat's etcd takes so many milliseconds longer: etcd is
/// meant for ten at most.
async fn slow_down(cluster: &Cluster<'_>, seat: u32, milliseconds: u32) -> Result<()> {
    let path = cluster.path(seat);
    cluster.cx.fault_at_end(&format!("fast-disk {path} etcd"));
    cluster
        .cx
        .fault(&format!("slow-disk {path} etcd {milliseconds}"))
        .await?;
    Ok(())
}

async fn learner_dies(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    cluster.lead_from(0).await?;
    cluster.ask_size(4, By::Patch).await?;
    stop_first_learner(&cluster, &[3]).await?;
    cx.fault_at_end(&format!("cont {} etcd", cluster.path(1)));
    cx.fault(&format!("stop {} etcd", cluster.path(1))).await?;
    let alive = [0, 2].map(|seat| cluster.seat(seat));
    holds("quorum, and the dead learner a learner", secs(30), async || {
        let address = cluster.pod(0).await?.client_address().unwrap_or_default();
        let view = cx.world.etcd.fenced_view(&address).await?;
        let promoted = view
            .members
            .iter()
            .any(|member| member.peer_url.contains(&cluster.seat(3)) && !member.learner);
        ensure!(!promoted, "it was promoted while it was dead: {:?}", view.members);
        Ok(())
    })
    .await?;
    cx.step(format!("{alive:?} held the quorum"));
    cx.fault(&format!("cont {} etcd", cluster.path(1))).await?;
    cx.fault(&format!("cont {} etcd", cluster.path(3))).await?;
    let after = cluster.converged(4, secs(240)).await?;
    kept(&before, &after)?;
    cluster.check_data("before").await?;
    judge::look(&cluster, 4).await.map(|_| ())
}

/// Stops the etcd of the first of these seats to start one, at once: what
/// remains is a learner that will not do anything.
async fn stop_first_learner(cluster: &Cluster<'_>, seats: &[u32]) -> Result<u32> {
    let cx = cluster.cx;
    let names: Vec<_> = seats.iter().map(|seat| cluster.seat(*seat)).collect();
    let joins = |process: &procs::Process| names.iter().any(|name| process.is_etcd_of(&cx.namespace, name));
    let process = procs::appears("etcd of a joiner to start", secs(90), joins).await?;
    process.signal(Signal::STOP)?;
    let seat = seats
        .iter()
        .copied()
        .find(|seat| process.is_etcd_of(&cx.namespace, &cluster.seat(*seat)))
        .unwrap_or(seats[0]);
    cx.step(format!("etcd of {} stopped as soon as it ran", cluster.seat(seat)));
    cx.fault_at_end(&format!("cont {} etcd", cluster.path(seat)));
    Ok(seat)
}
