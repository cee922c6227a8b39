//! Pod addresses are used again: what answers there may be another cluster.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::volumes::{lose_volume, replaced};
use crate::agent;
use crate::ctx::Ctx;
use crate::scenario::{Scenario, scenario};
use crate::wait::{holds, secs};
use crate::writer::Writer;

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[scenario!(
    "reused-address",
    "an old EndpointSlice and DNS name the pod of another cluster as seat 1, and seat 2 loses its volume",
    reused
)];

async fn reused(cx: &Ctx) -> Result<()> {
    let (cluster, other) = (cx.cluster("demo"), cx.cluster("other"));
    let before = cluster.create(3).await?;
    let theirs = other.create(1).await?;
    cluster.put_data("before").await?;
    other.put_data("theirs").await?;
    cluster.lead_from(0).await?;
    let writer = Writer::start(&cluster).await?;
    let address = other.pod(0).await?.ip.context("the other cluster has no address")?;
    // Whoever joins asks seat 1, and hears of a cluster that is not its own.
    let seat = cluster.seat(1);
    cx.step(format!(
        "an EndpointSlice names {address} of the other cluster as {seat}"
    ));
    // Its name comes after those that Kubernetes gives: whoever keeps one address of a seat keeps this one.
    let stale = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": "demo-stale",
            "labels": {
                "kubernetes.io/service-name": "demo-peer",
                "endpointslice.kubernetes.io/managed-by": "muster-e2e",
            },
        },
        "ports": [{ "name": "peer", "port": 2380, "protocol": "TCP" }],
        "endpoints": [{
            "addresses": [address], "hostname": seat, "conditions": { "ready": true },
            "targetRef": { "kind": "Pod", "namespace": cx.namespace, "name": seat, "uid": "gone" },
        }],
    });
    cx.kubectl.apply(&stale).await?;
    lose_volume(&cluster, 2).await?;
    // Seat 1 cannot be asked, so that seat 2's old member may not go yet; and nothing is learnt from the stranger.
    let address = cluster.address(0).await?;
    holds("the members as they were", secs(20), async || {
        let members = cx.world.etcd.fenced_view(&address).await?.members;
        let same = members
            .iter()
            .all(|member| before.members.get(&member.name) == Some(&member.id));
        ensure!(same && members.len() == 3, "{before:?} became {members:?}");
        Ok(())
    })
    .await?;
    let ip = cluster.pod(2).await?.ip.context("seat 2 has no address")?;
    cx.note(format!("meanwhile: {}", agent::status(&ip).await?["why"]));
    cx.step("the EndpointSlice is deleted");
    cx.kubectl.run_line("delete endpointslice demo-stale").await?;
    replaced(&cluster, &before, 2).await?;
    writer.finish(&cluster).await?;
    let after = other.converged(1, secs(10)).await?;
    ensure!(after == theirs, "the other cluster changed: {theirs:?}, {after:?}");
    other.check_data("theirs").await
}
