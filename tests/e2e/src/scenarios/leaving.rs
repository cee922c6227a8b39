//! Leaving, and what is done when somebody could not.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;
use serde_json::json;

use crate::cluster::By;
use crate::ctx::Ctx;
use crate::procs;
use crate::scenario::{Scenario, scenario};
use crate::scenarios::rescue;
use crate::wait::{holds, secs, until};
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "leader-leaves",
        "3→1 while the leader is a seat that goes: leadership moves first",
        leader_leaves
    ),
    scenario!(
        "removed-stays-out",
        "a removed seat whose pod lives on and restarts does not join again",
        removed_stays_out
    )
    .alone(),
    scenario!(
        "hook-killed",
        "3→2 by kubectl scale statefulset, the pod killed before its hook: cleaned up",
        hook_killed
    ),
    scenario!(
        "hook-without-api",
        "3→1 by kubectl scale statefulset while the agents that go cannot reach the API server",
        without_api
    )
    .alone()
    .within(600),
    scenario!(
        "shrink-without-quorum",
        "3→1 by kubectl scale statefulset while two of three hang, so that nobody can leave",
        without_quorum
    )
    .within(600),
];

async fn leader_leaves(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    cluster.create(3).await?;
    for by in [By::Patch, By::StatefulSet] {
        cluster.lead_from(2).await?;
        let writer = Writer::start(&cluster).await?;
        cluster.scale(1, by).await?;
        let report = writer.finish(&cluster).await?;
        ensure!(
            report.longest_gap < Duration::from_secs(3),
            "no write for {} ms while the leader left",
            report.longest_gap.as_millis()
        );
        cluster.scale(3, By::Patch).await?;
    }
    Ok(())
}

async fn removed_stays_out(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    cx.stop_operator().await?;
    cx.step("the target that a shrinking operator writes, and then the operator is gone");
    let target = json!({ "metadata": { "annotations": { "etcd.etcd.io/shrink": "3->1" } } }).to_string();
    cx.kubectl
        .run(&["patch", "statefulset", cluster.name(), "--type=merge", "-p", &target])
        .await?;
    let alone = async || {
        let address = cluster.address(0).await?;
        let view = cx.world.etcd.fenced_view(&address).await?;
        ensure!(view.members.len() == 1, "members: {:?}", view.members);
        ensure!(
            view.members[0].id == before.members[&cluster.seat(0)],
            "seat 0 is another member: {:?}",
            view.members
        );
        Ok(())
    };
    until("seats 1 and 2 to leave", secs(60), alone).await?;
    ensure!(
        cluster.pods().await?.len() == 3,
        "pods went, although the replicas did not change"
    );
    holds("the removed seats outside", secs(10), alone).await?;
    let ours =
        |process: &procs::Process| process.is_agent_in(&cx.namespace) && !process.has("POD_NAME", &cluster.seat(0));
    for process in procs::find(ours)? {
        process.signal(Signal::KILL)?;
    }
    cx.kubectl.run_line(&format!("delete pod {}", cluster.seat(2))).await?;
    holds("the removed seats outside after a restart", secs(20), alone).await?;
    cx.start_operator().await?;
    // The EtcdCluster still says 3: the operator withdraws what it did not ask for.
    let after = cluster.converged(3, secs(180)).await?;
    ensure!(
        after.cluster_id == before.cluster_id,
        "it is another cluster: {after:?}"
    );
    cluster.check_data("before").await
}

async fn hook_killed(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    cluster.create(3).await?;
    cluster.put_data("before").await?;
    cluster.lead_from(0).await?;
    let writer = Writer::start(&cluster).await?;
    for container in ["agent", "etcd"] {
        cx.fault(&format!("stop {} {container}", cluster.path(2))).await?;
    }
    cluster.ask_size(2, By::StatefulSet).await?;
    cx.kubectl
        .run_line(&format!(
            "delete pod {} --grace-period=0 --force --ignore-not-found",
            cluster.seat(2)
        ))
        .await?;
    let after = cluster.converged(2, secs(120)).await?;
    writer.finish(&cluster).await?;
    cluster.check_data("before").await?;
    cluster.reported(&after).await
}

async fn without_api(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    cluster.create(3).await?;
    cluster.put_data("before").await?;
    let writer = Writer::start(&cluster).await?;
    cx.fault_at_end(&format!("heal {} api", cluster.end(&[1, 2])));
    cx.fault(&format!("cut {} api", cluster.end(&[1, 2]))).await?;
    cluster.ask_size(1, By::StatefulSet).await?;
    // Their hooks cannot know whether to leave; when their time is up, others clean up.
    let after = cluster.converged(1, secs(300)).await?;
    writer.finish(&cluster).await?;
    cluster.check_data("before").await?;
    cluster.reported(&after).await
}

async fn without_quorum(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    for seat in [1, 2] {
        cx.fault(&format!("stop {} etcd", cluster.path(seat))).await?;
    }
    cluster.ask_size(1, By::StatefulSet).await?;
    rescue::raised_to(&cluster, 2).await?;
    let address = cluster.address(0).await?;
    holds("seat 0 without a quorum, and as it was", secs(20), async || {
        let members = cx.world.etcd.view(&address).await?.members;
        ensure!(members.len() == 3, "members: {members:?}");
        ensure!(cx.world.etcd.fenced_view(&address).await.is_err(), "there is a quorum");
        Ok(())
    })
    .await?;
    let after = rescue::ends_at_one(&cluster, before.cluster_id).await?;
    ensure!(
        after.members[&cluster.seat(0)] == before.members[&cluster.seat(0)],
        "seat 0 is another member: {before:?}, {after:?}"
    );
    Ok(())
}
