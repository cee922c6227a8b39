//! DNS as many clusters have it: answers that are half a minute old, or none.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::cluster::By;
use crate::ctx::Ctx;
use crate::kubectl::Kubectl;
use crate::scenario::{Scenario, scenario};
use crate::wait::secs;
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "classic-dns",
        "1→3→5→3→1 with caches of 30 s, no step near 30 s",
        classic
    )
    .alone(),
    scenario!(
        "cold-start-classic-dns",
        "all pods deleted at once, with caches of 30 s",
        cold_start
    )
    .alone(),
    scenario!(
        "dns-down",
        "CoreDNS is gone during 1→3: etcd serves, and the step is done once it is back",
        down
    )
    .alone(),
];

async fn classic_dns(cx: &Ctx) -> Result<()> {
    let bed = cx.world.bed.clone();
    cx.at_end("modern DNS again", async move {
        bed.call(&["dns", "modern"]).await.map(|_| ())
    });
    cx.step("CoreDNS with its classic configuration");
    cx.world.bed.call(&["dns", "classic"]).await.map(|_| ())
}

async fn classic(cx: &Ctx) -> Result<()> {
    classic_dns(cx).await?;
    let cluster = cx.cluster("demo");
    cluster.create(1).await?;
    let writer = Writer::start(&cluster).await?;
    for size in [3, 5, 3, 1] {
        let start = Instant::now();
        cluster.scale(size, By::Patch).await?;
        ensure!(
            start.elapsed() < secs(25),
            "to {size} took {:.0} s: a cached answer was waited for",
            start.elapsed().as_secs_f64()
        );
    }
    writer.finish(&cluster).await?;
    Ok(())
}

async fn cold_start(cx: &Ctx) -> Result<()> {
    classic_dns(cx).await?;
    let cluster = cx.cluster("demo");
    let before = cluster.create(3).await?;
    cluster.put_data("before").await?;
    for how in ["delete pods --all", "delete pods --all --grace-period=0 --force"] {
        let start = Instant::now();
        cx.step(format!("kubectl {how}"));
        cx.kubectl.run_line(how).await?;
        let after = cluster.converged(3, secs(150)).await?;
        cx.note(format!("back after {:.0} s", start.elapsed().as_secs_f64()));
        ensure!(after == before, "the members changed: {before:?}, {after:?}");
        cluster.check_data("before").await?;
    }
    Ok(())
}

async fn down(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let before = cluster.create(1).await?;
    let writer = Writer::start(&cluster).await?;
    let system = Kubectl::new("kube-system");
    let back = system.clone();
    cx.at_end("CoreDNS back", async move { start_dns(&back).await });
    cx.step("CoreDNS is scaled to zero");
    system.run_line("scale deployment coredns --replicas=0").await?;
    system
        .run_line("wait pods --selector=k8s-app=kube-dns --for=delete --timeout=60s")
        .await?;
    cluster.ask_size(3, By::Patch).await?;
    tokio::time::sleep(secs(30)).await;
    cx.step("CoreDNS is back");
    start_dns(&system).await?;
    let after = cluster.converged(3, secs(120)).await?;
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
    Ok(())
}

async fn start_dns(system: &Kubectl) -> Result<()> {
    system.run_line("scale deployment coredns --replicas=2").await?;
    system
        .run_line("rollout status deployment coredns --timeout=90s")
        .await
        .map(|_| ())
}
