//! The harness itself, on plain etcd and without Muster: what it reports later
//! is worth as much as this.

use anyhow::{Result, ensure};

use crate::churn::Observation;
use crate::ctx::Ctx;
use crate::judge;
use crate::plain;
use crate::scenario::{Scenario, scenario};
use crate::wait::{secs, until};
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[scenario!(
    "self-check",
    "the harness and the bed's faults, on plain etcd without Muster",
    self_check
)];

async fn self_check(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("plain");
    plain::create(cx, cluster.name(), 3).await?;
    let settled = cluster.converged(3, secs(120)).await?;
    ensure!(
        judge::look(&cluster, 2).await.is_err(),
        "the judge takes 3 members for 2"
    );
    cluster.put_data("first").await?;
    cluster.check_data("first").await?;
    ensure!(
        cluster.check_data("never").await.is_err(),
        "data is found that was never written"
    );

    let observation = Observation::start(&cluster, 1).await?;
    let frozen = format!("{}/{} etcd", cx.namespace, cluster.seat(2));
    cx.fault_at_end(&format!("cont {frozen}"));
    cx.fault(&format!("stop {frozen}")).await?;
    until("the judge to miss a stopped member", secs(20), async || {
        let look = judge::look(&cluster, 3).await;
        ensure!(look.is_err(), "it does not: {look:?}");
        Ok(())
    })
    .await?;
    cx.fault(&format!("cont {frozen}")).await?;
    cluster.converged(3, secs(60)).await?;

    let (one, others) = (cluster.seat(0), format!("{},{}", cluster.seat(1), cluster.seat(2)));
    let cut = format!(
        "pod:{0}/{one} pod:{0}/{1}",
        cx.namespace,
        others.replace(',', &format!(",{}/", cx.namespace))
    );
    cx.fault_at_end(&format!("heal {cut}"));
    cx.fault(&format!("cut {cut}")).await?;
    until("the judge to miss a member that is cut off", secs(20), async || {
        let look = judge::look(&cluster, 3).await;
        ensure!(look.is_err(), "it does not: {look:?}");
        Ok(())
    })
    .await?;
    let packets = cx.fault(&format!("count {cut}")).await?;
    ensure!(packets.trim() != "0", "the cut counted nothing");
    cx.fault(&format!("heal {cut}")).await?;
    cluster.converged(3, secs(60)).await?;

    cx.fault(&format!("kill {}/{} etcd", cx.namespace, cluster.seat(1)))
        .await?;
    until("the killed container to be started again", secs(60), async || {
        ensure!(cluster.pod(1).await?.restarts_of("etcd") > 0, "it was not");
        Ok(())
    })
    .await?;
    let after = cluster.converged(3, secs(60)).await?;
    ensure!(after == settled, "the members changed: {settled:?}, {after:?}");
    observation
        .finish(&cluster, &cx.world.bed.root().join("out/self-check"))
        .await?;
    let writer = Writer::start(&cluster).await?;
    writer.finish(&cluster).await?;
    ensure!(
        cx.watch.cluster_ids(cluster.name()) == [settled.cluster_id],
        "the sampler saw {:?}",
        cx.watch.cluster_ids(cluster.name())
    );
    Ok(())
}
