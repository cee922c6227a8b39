//! The API server is away, for two minutes or for seconds. etcd serves on; the
//! step goes on when it is back.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use crate::cluster::By;
use crate::ctx::Ctx;
use crate::kubectl::Kubectl;
use crate::scenario::{Scenario, scenario};
use crate::wait::{secs, until};
use crate::world::{OPERATOR, SYSTEM};
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "api-down-create",
        "the API server goes while a cluster of 3 is made",
        create
    )
    .alone()
    .within(600),
    scenario!("api-down-grow", "the API server goes during 1→3", grow)
        .alone()
        .within(600),
    scenario!("api-down-shrink", "the API server goes during 3→1", shrink)
        .alone()
        .within(600),
    scenario!(
        "api-blink",
        "the API server goes for seconds, again and again: the operator stays and sees what is asked for next",
        blink
    )
    .alone(),
];

/// The length of an outage, in seconds.
const AWAY: u64 = 120;
/// The same, and the size that is asked for next. The bed's API server needs about three seconds more. The first time
/// is too short for the operator to lose its Lease, so that it has to go on with the watches that broke; later it loses
/// it, and an operator that ends for that is started again later and later.
const BLINKS: [(u64, u32); 4] = [(3, 2), (13, 3), (13, 4), (13, 5)];

async fn create(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    cluster.apply(3).await?;
    tokio::time::sleep(secs(2)).await;
    away(cx, AWAY).await?;
    let settled = cluster.converged(3, secs(180)).await?;
    cx.watch.status_may_be_stale(false);
    cluster.reported(&settled).await
}

async fn grow(cx: &Ctx) -> Result<()> {
    resize(cx, 1, 3).await
}

async fn shrink(cx: &Ctx) -> Result<()> {
    resize(cx, 3, 1).await
}

async fn resize(cx: &Ctx, from: u32, to: u32) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(from).await?;
    let writer = Writer::start(&cluster).await?;
    cluster.ask_size(to, By::Patch).await?;
    away(cx, AWAY).await?;
    let after = cluster.converged(to, secs(180)).await?;
    cx.watch.status_may_be_stale(false);
    ensure!(
        after.cluster_id == before.cluster_id,
        "it is another cluster: {before:?}, {after:?}"
    );
    let report = writer.finish(&cluster).await?;
    ensure!(
        report.longest_gap < secs(10),
        "no write for {} ms",
        report.longest_gap.as_millis()
    );
    cluster.reported(&after).await
}

async fn blink(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    cluster.create(1).await?;
    let before = cx.operators().await?;
    let begin = Timestamp::now();
    let mut lost = Vec::new();
    for (seconds, size) in BLINKS {
        away(cx, seconds).await?;
        cluster.ask_size(size, By::Patch).await?;
        let start = Instant::now();
        let wanted = async || {
            let set = cluster.stateful_set().await?.context("no StatefulSet")?;
            let seen = set.annotations().get("etcd.etcd.io/applied-size").cloned();
            ensure!(seen == Some(size.to_string()), "it acts on size {seen:?}");
            Ok(())
        };
        until("the operator to see the new size", secs(60), wanted).await?;
        cx.note(format!("size {size} seen after {:.1} s", start.elapsed().as_secs_f64()));
        let log = Kubectl::new(SYSTEM)
            .run_line(&format!("logs deployment/{OPERATOR} --since-time={begin:.0}"))
            .await?;
        lost.push(log.matches("the Lease was lost").count());
    }
    ensure!(
        lost == [0, 1, 2, 3],
        "the Lease was lost {lost:?} times after each outage"
    );
    let settled = cluster.converged(5, secs(240)).await?;
    cx.watch.status_may_be_stale(false);
    cluster.reported(&settled).await?;
    let after = cx.operators().await?;
    ensure!(after == before, "the operator ended: {before:?} became {after:?}");
    Ok(())
}

/// Takes the API server away. Until the cluster has converged, Kubernetes' own controllers may be behind: they look
/// again after up to 90 s.
async fn away(cx: &Ctx, seconds: u64) -> Result<()> {
    cx.fault_at_end("api-up");
    cx.watch.status_may_be_stale(true);
    cx.fault("api-down").await?;
    tokio::time::sleep(secs(seconds)).await;
    cx.fault("api-up").await.map(drop)
}
