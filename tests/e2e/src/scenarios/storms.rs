//! Too much at once: commands faster than they can be carried out, agents
//! killed all the time, all nodes restarted, two pods of one seat.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::cluster::By;
use crate::ctx::Ctx;
use crate::procs;
use crate::scenario::{Scenario, scenario};
use crate::wait::secs;
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "storm-by-cluster",
        "1→5→2→4→1→3 within a few seconds, by kubectl scale etcdcluster",
        by_cluster
    ),
    scenario!(
        "storm-by-statefulset",
        "1→5→2→4→1→3 within a few seconds, by kubectl scale statefulset",
        by_stateful_set
    ),
    scenario!(
        "agents-killed",
        "1→3→5→3→1 while agents are killed all the time",
        agents_killed
    )
    .within(900),
    scenario!(
        "all-nodes-restart",
        "all nodes lose power and come back: the same members, the same data",
        all_nodes
    )
    .alone()
    .within(600),
    scenario!(
        "two-pods-one-seat",
        "a forced deletion while the node hangs: two pods of one seat meet on one volume",
        two_pods
    )
    .alone(),
];

async fn by_cluster(cx: &Ctx) -> Result<()> {
    storm(cx, By::Scale).await
}

async fn by_stateful_set(cx: &Ctx) -> Result<()> {
    storm(cx, By::StatefulSet).await
}

async fn storm(cx: &Ctx, by: By) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(1).await?;
    cluster.put_data("before").await?;
    let writer = Writer::start(&cluster).await?;
    for pause in [200, 1500, 4000] {
        for size in [5, 2, 4, 1, 3] {
            cluster.ask_size(size, by).await?;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let start = Instant::now();
        let after = cluster.converged(3, secs(240)).await?;
        cx.note(format!(
            "a step each {pause} ms: 3 members after {:.1} s more",
            start.elapsed().as_secs_f64()
        ));
        ensure!(
            after.cluster_id == before.cluster_id,
            "it is another cluster: {before:?}, {after:?}"
        );
        let first = cluster.seat(0);
        ensure!(
            after.members.get(&first) == before.members.get(&first),
            "{first} is another member: {before:?}, {after:?}"
        );
    }
    writer.finish(&cluster).await?;
    cluster.check_data("before").await
}

async fn agents_killed(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(1).await?;
    cluster.put_data("before").await?;
    let writer = Writer::start(&cluster).await?;
    for size in [3, 5, 3, 1] {
        cluster.ask_size(size, By::Patch).await?;
        let start = Instant::now();
        let mut killed = 0;
        while start.elapsed() < secs(6) {
            for process in procs::find(|process| process.is_agent_in(&cx.namespace))? {
                process.signal(Signal::KILL)?;
                killed += 1;
            }
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        let after = cluster.converged(size, secs(240)).await?;
        cx.note(format!(
            "to {size} with {killed} agents killed: {:.0} s",
            start.elapsed().as_secs_f64()
        ));
        ensure!(
            after.cluster_id == before.cluster_id,
            "it is another cluster: {before:?}, {after:?}"
        );
    }
    writer.finish(&cluster).await?;
    cluster.check_data("before").await
}

async fn all_nodes(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    let nodes = cx.kubectl.run_line("get nodes -o name").await?;
    let nodes: Vec<_> = nodes.lines().filter_map(|line| line.strip_prefix("node/")).collect();
    cx.watch.status_may_be_stale(true);
    for node in &nodes {
        cx.fault_at_end(&format!("start-node {node}"));
        cx.fault(&format!("kill-node {node}")).await?;
    }
    for node in &nodes {
        cx.fault(&format!("start-node {node}")).await?;
    }
    let after = cluster.converged(3, secs(240)).await?;
    ensure!(after == before, "the members changed: {before:?}, {after:?}");
    cluster.check_data("before").await?;
    cluster.reported(&after).await
}

async fn two_pods(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    for _ in 0..3 {
        let pod = cluster.pod(1).await?;
        let node = pod.node.context("a pod without a node")?;
        cx.fault_at_end(&format!("thaw-node {node}"));
        cx.fault(&format!("freeze-node {node}")).await?;
        cx.kubectl
            .run_line(&format!("delete pod {} --grace-period=0 --force", pod.name))
            .await?;
        tokio::time::sleep(secs(3)).await;
        cx.fault(&format!("thaw-node {node}")).await?;
        let after = cluster.converged(3, secs(180)).await?;
        ensure!(after == before, "the members changed: {before:?}, {after:?}");
        ensure!(cluster.pod(1).await?.uid != pod.uid, "the pod was not replaced");
    }
    cluster.check_data("before").await
}
