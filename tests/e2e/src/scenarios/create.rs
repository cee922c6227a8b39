//! A new cluster.

use anyhow::{Result, ensure};

use crate::ctx::Ctx;
use crate::scenario::{Scenario, scenario};
use crate::world::SYSTEM;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario!(
        "create-1",
        "an EtcdCluster of size 1 becomes a cluster of one member",
        create_1
    ),
    scenario!(
        "create-3",
        "an EtcdCluster of size 3 becomes a cluster of three members",
        create_3
    )
    .every_version(),
];

async fn create_1(cx: &Ctx) -> Result<()> {
    create(cx, 1).await
}

async fn create_3(cx: &Ctx) -> Result<()> {
    create(cx, 3).await
}

async fn create(cx: &Ctx, size: u32) -> Result<()> {
    let cluster = cx.cluster("demo");
    let settled = cluster.create(size).await?;
    cluster.reported(&settled).await?;
    let birth = cluster.birth().await?;
    ensure!(
        birth.get("phase").map(String::as_str) == Some("formed"),
        "the birth record is {birth:?}"
    );
    ensure!(
        birth.get("clusterID") == Some(&format!("{:016x}", settled.cluster_id)),
        "the birth record is {birth:?}"
    );
    cluster.put_data("first").await?;
    cluster.check_data("first").await?;
    for pod in cluster.pods().await?.values() {
        ensure!(
            pod.restarts_of("etcd") == 0,
            "{}: etcd was started {} times",
            pod.name,
            pod.restarts_of("etcd") + 1
        );
        ensure!(
            pod.restarts_of("agent") == 0,
            "{}: the agent was started {} times",
            pod.name,
            pod.restarts_of("agent") + 1
        );
    }
    let running = cx.kubectl.run_line(&format!("get pods -n {SYSTEM} -o name")).await?;
    cx.step(format!("operator: {running}"));
    Ok(())
}
