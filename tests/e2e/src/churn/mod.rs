//! The churn run: several clients, random scaling and random faults. What the
//! clients saw is written down, and checked by a program that knows nothing
//! of Muster (tests/churn-check).
//!
//! ```text
//!   seed ── schedule ── faults ──→ the cluster ←── clients ── history.jsonl ──┐
//!                                       ↑                                     ├─ churn-check
//!                                       └───────── watchers ── watch-*.jsonl ─┘
//! ```

mod clients;
mod faults;
mod history;
mod schedule;
mod watchers;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use crate::cluster::Cluster;
use crate::ctx::Ctx;
use crate::evidence;
use crate::namespace;
use crate::sampler;
use crate::wait::secs;
use crate::world::World;

use clients::Clients;
use faults::Faults;
use schedule::Schedule;
use watchers::Watchers;

/// The plan of a churn run.
pub(crate) struct Plan {
    /// The length of scaling and faults, in minutes.
    pub(crate) minutes: f64,
    /// The seed of the schedule: the same seed makes the same one.
    pub(crate) seed: u64,
    pub(crate) etcd: String,
    /// True to keep the namespace.
    pub(crate) keep: bool,
}

/// Runs the churn; whether all is well.
pub(crate) async fn run(world: World, plan: &Plan) -> Result<bool> {
    let world = Rc::new(world);
    let version = world.versions.resolve(&plan.etcd)?;
    world.operator_traffic.start_count().await?;
    let schedule = Schedule::new(plan.seed, Duration::from_secs_f64(plan.minutes * 60.0));
    let cx = Ctx::new(Rc::clone(&world), "churn", &version);
    let folder = world.bed.root().join("out/churn");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    std::fs::write(folder.join("schedule.txt"), schedule.to_string())?;
    cx.step(format!(
        "seed {}, {} events in {} min, etcd {version}",
        plan.seed,
        schedule.events.len(),
        plan.minutes
    ));

    let judge = judge(&cx);
    anyhow::ensure!(
        judge.is_file(),
        "{} is missing, and would be missed at the end: `make churn` builds it",
        judge.display()
    );
    namespace::create(&cx).await?;
    let sampler = tokio::task::spawn_local(sampler::run(
        world.client.clone(),
        cx.namespace.clone(),
        Rc::clone(&cx.watch),
    ));
    // Operator and API server go away all the time: the status is behind by right.
    cx.watch.status_may_be_stale(true);
    let result = churn(&cx, &schedule, &folder).await;
    sampler.abort();
    let mut problems: Vec<_> = result.err().map(|error| format!("{error:#}")).into_iter().collect();
    problems.extend(
        cx.watch
            .violations()
            .into_iter()
            .map(|what| format!("invariant: {what}")),
    );
    problems.extend(
        world
            .operator_traffic
            .ensure_none()
            .await
            .err()
            .map(|error| format!("{error:#}")),
    );
    if !problems.is_empty() {
        println!("  evidence: {}", evidence::collect(&cx, &problems).await?.display());
    }
    problems.extend(cx.repair().await);
    if !plan.keep {
        namespace::remove(&cx).await?;
    }
    println!();
    for line in cx.notes().iter().chain(&problems) {
        println!("{line}");
    }
    let verdict = if problems.is_empty() { "passed" } else { "FAILED" };
    println!("churn with seed {}: {verdict}", plan.seed);
    Ok(problems.is_empty())
}

async fn churn(cx: &Ctx, schedule: &Schedule, folder: &Path) -> Result<()> {
    let cluster = cx.cluster("demo");
    let first = cluster.create(3).await?;
    let observation = Observation::start(&cluster, schedule.seed).await?;
    let faults = Faults::default();
    let size = play(&cluster, schedule, observation.start, &faults).await?;
    cx.step("no more faults");
    for failure in cx.repair().await {
        cx.step(failure);
    }
    let converged = cluster.converged(size, secs(300)).await;
    cx.note(faults.summary());
    let observed = observation.finish(&cluster, folder).await;
    let last = converged?;
    anyhow::ensure!(
        last.cluster_id == first.cluster_id,
        "it is another cluster: {first:?}, {last:?}"
    );
    observed
}

/// Clients and watch streams at work.
pub(crate) struct Observation {
    start: Instant,
    clients: Clients,
    watchers: Watchers,
}

impl Observation {
    /// Starts them on a cluster.
    pub(crate) async fn start(cluster: &Cluster<'_>, seed: u64) -> Result<Self> {
        let start = Instant::now();
        let watchers = Watchers::start(cluster).await?;
        let clients = Clients::start(cluster, start, seed).await?;
        Ok(Self {
            start,
            clients,
            watchers,
        })
    }

    /// Stops them, writes down what they saw, and has it judged.
    pub(crate) async fn finish(self, cluster: &Cluster<'_>, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let history = self.clients.finish().await?;
        history.write(&folder.join("history.jsonl"))?;
        cluster.cx.note(history.summary());
        self.watchers.finish(cluster, folder).await?;
        check(cluster.cx, folder).await
    }
}

/// Carries out the schedule; returns the size that was asked for last.
async fn play(cluster: &Cluster<'_>, schedule: &Schedule, start: Instant, faults: &Faults) -> Result<u32> {
    let mut size = 3;
    for event in &schedule.events {
        tokio::time::sleep(event.at.saturating_sub(start.elapsed())).await;
        if let Err(error) = faults.apply(cluster, &event.action, &mut size).await {
            // A target may be gone, the API server away: the schedule goes on.
            cluster.cx.step(format!("{}: {error:#}", event.action));
        }
    }
    tokio::time::sleep(schedule.length.saturating_sub(start.elapsed())).await;
    Ok(size)
}

/// The path of tests/churn-check, once it is built.
fn judge(cx: &Ctx) -> PathBuf {
    cx.world.bed.root().join("out/churn-check")
}

/// Runs tests/churn-check over the history.
async fn check(cx: &Ctx, folder: &Path) -> Result<()> {
    let output = Command::new(judge(cx))
        .arg(folder)
        .output()
        .await
        .context("churn-check")?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        cx.note(line);
    }
    anyhow::ensure!(
        output.status.success(),
        "churn-check: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
