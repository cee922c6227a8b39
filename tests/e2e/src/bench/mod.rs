//! The benchmark: how long a user waits for each step, beside the same pods
//! without Muster, and what Muster costs at rest.

mod report;
mod rest;
mod steps;

use std::rc::Rc;

use anyhow::{Context as _, Result};

use crate::cluster::By;
use crate::ctx::Ctx;
use crate::namespace;
use crate::wait::secs;
use crate::world::World;
use crate::writer::Writer;

use report::Results;
pub(crate) use report::Subject;

/// The plan of a benchmark.
pub(crate) struct Plan {
    /// The number of times that each step is measured.
    pub(crate) repeat: usize,
    pub(crate) etcd: Vec<String>,
    pub(crate) dns: Vec<String>,
    /// The only subject to measure.
    pub(crate) only: Option<Subject>,
    /// The time for which a cluster at rest is watched, in seconds.
    pub(crate) rest: u64,
}

/// Measures, prints a table, and writes `out/bench.json`.
pub(crate) async fn run(world: World, plan: &Plan) -> Result<()> {
    let world = Rc::new(world);
    let before = world.bed.call(&["status"]).await.unwrap_or_default();
    let mut results = Results::default();
    let measured = measure(&world, plan, &mut results).await;
    // The bed is left with the configuration that it had.
    if before
        .lines()
        .any(|line| line.starts_with("DNS") && line.ends_with("classic"))
    {
        world.bed.call(&["dns", "classic"]).await?;
    } else {
        world.bed.call(&["dns", "modern"]).await?;
    }
    measured?;
    println!("\n{}", results.table());
    let file = world.bed.root().join("out/bench.json");
    std::fs::create_dir_all(world.bed.root().join("out"))?;
    std::fs::write(&file, format!("{:#}\n", results.json())).with_context(|| file.display().to_string())?;
    println!("written to out/bench.json");
    Ok(())
}

async fn measure(world: &Rc<World>, plan: &Plan, results: &mut Results) -> Result<()> {
    for dns in &plan.dns {
        world.bed.call(&["dns", dns]).await?;
        for name in &plan.etcd {
            let version = world.versions.resolve(name)?;
            let cx = Ctx::new(Rc::clone(world), &format!("bench-{dns}@{version}"), &version);
            namespace::create(&cx).await?;
            let done = measure_version(&cx, plan, dns, results).await;
            let removed = namespace::remove(&cx).await;
            done.with_context(|| format!("etcd {version}, {dns} DNS"))?;
            removed?;
        }
    }
    Ok(())
}

async fn measure_version(cx: &Ctx, plan: &Plan, dns: &str, results: &mut Results) -> Result<()> {
    for round in 1..=plan.repeat {
        cx.step(format!("round {round} of {}", plan.repeat));
        let mut record = |subject: Subject, step: &str, seconds: f64| {
            cx.step(format!("{subject}: {step}: {seconds:.2} s"));
            results.add(subject, dns, &cx.version, step, seconds);
        };
        if plan.only != Some(Subject::Muster) {
            for size in [1, 3] {
                let seconds = steps::floor(cx, &format!("floor{size}-{round}"), size).await?;
                record(Subject::Floor, &format!("create {size}"), seconds);
            }
        }
        if plan.only != Some(Subject::Floor) {
            for (step, seconds) in steps::walk(cx, &format!("walk-{round}")).await? {
                record(Subject::Muster, &step, seconds);
            }
            let seconds = steps::create_3(cx, &format!("three-{round}")).await?;
            record(Subject::Muster, "create 3", seconds);
        }
    }
    // What does not depend on DNS is measured once.
    if plan.only != Some(Subject::Floor) && plan.dns.first().is_some_and(|first| first == dns) {
        results.add_gap(&cx.version, writing(cx).await?);
        let cluster = cx.cluster("rest");
        steps::create(&cluster, 3).await?;
        results.add_rest(&cx.version, rest::watch(&cluster, secs(plan.rest)).await?);
        steps::remove(&cluster).await?;
    }
    Ok(())
}

/// The longest write gap of 1→3→5→3→1, in milliseconds.
async fn writing(cx: &Ctx) -> Result<u128> {
    let cluster = cx.cluster("written");
    steps::create(&cluster, 1).await?;
    let writer = Writer::start(&cluster).await?;
    for size in [3, 5, 3, 1] {
        cluster.scale(size, By::Patch).await?;
    }
    let report = writer.finish(&cluster).await?;
    steps::remove(&cluster).await?;
    Ok(report.longest_gap.as_millis())
}
