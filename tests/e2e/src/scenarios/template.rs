//! Changes to the pods: one at a time, and only while all is well.

use anyhow::{Result, ensure};

use crate::ctx::Ctx;
use crate::scenario::{Scenario, scenario};
use crate::wait::{holds, secs, until};
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[scenario!(
    "template-change",
    "etcd options change while a seat is down: rolled out one by one when it is back",
    change
)
.within(600)];

async fn change(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    let pods = cluster.pods().await?;
    let writer = Writer::start(&cluster).await?;
    cx.fault_at_end(&format!("cont {} etcd", cluster.path(1)));
    cx.fault(&format!("stop {} etcd", cluster.path(1))).await?;
    until("the stopped seat to be unready", secs(60), async || {
        ensure!(!cluster.pod(1).await?.ready, "it is ready");
        Ok(())
    })
    .await?;
    let patch = r#"{"spec":{"etcdOptions":["--heartbeat-interval=150","--election-timeout=1500"]}}"#;
    cx.step("kubectl patch: other etcd options");
    cx.kubectl
        .run(&["patch", "etcdcluster", cluster.name(), "--type=merge", "-p", patch])
        .await?;
    holds("every pod in place while a seat is down", secs(20), async || {
        let now = cluster.pods().await?;
        let same = pods
            .iter()
            .all(|(name, pod)| now.get(name).is_some_and(|other| other.uid == pod.uid));
        ensure!(same, "a pod was replaced while another is down");
        Ok(())
    })
    .await?;
    cx.fault(&format!("cont {} etcd", cluster.path(1))).await?;
    until("every pod to be replaced", secs(300), async || {
        let now = cluster.pods().await?;
        let down: Vec<_> = now.values().filter(|pod| !pod.ready).map(|pod| &pod.name).collect();
        let old: Vec<_> = pods
            .iter()
            .filter(|(name, pod)| now.get(*name).is_none_or(|other| other.uid == pod.uid))
            .map(|(name, _)| name)
            .collect();
        ensure!(
            old.is_empty() && down.is_empty(),
            "still the old pods: {old:?}; not ready: {down:?}"
        );
        Ok(())
    })
    .await?;
    let after = cluster.converged(3, secs(60)).await?;
    ensure!(after == before, "the members changed: {before:?}, {after:?}");
    let report = writer.finish(&cluster).await?;
    ensure!(
        report.longest_gap < secs(8),
        "no write for {} ms",
        report.longest_gap.as_millis()
    );
    cluster.check_data("before").await
}
