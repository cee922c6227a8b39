//! Leftovers of earlier lives do not matter.

use anyhow::{Result, ensure};

use crate::cluster::By;
use crate::ctx::Ctx;
use crate::scenario::{Scenario, scenario};

/// The scenarios of this file.
pub(super) const SCENARIOS: &[Scenario] = &[scenario!(
    "cycles-1-3-1",
    "three times 1→3→1 on one cluster, whose volumes stay",
    cycles
)
.within(600)];

async fn cycles(cx: &Ctx) -> Result<()> {
    let cluster = cx.cluster("demo");
    let one = cluster.create(1).await?;
    cluster.put_data("first").await?;
    let mut used = one.members.clone();
    for (round, by) in [By::Patch, By::Scale, By::StatefulSet].into_iter().enumerate() {
        let three = cluster.scale(3, by).await?;
        ensure!(three.cluster_id == one.cluster_id, "it is another cluster: {three:?}");
        for (seat, id) in three
            .members
            .iter()
            .filter(|(seat, _)| !one.members.contains_key(*seat))
        {
            let earlier = used.insert(format!("{seat} in round {round}"), *id);
            ensure!(
                earlier.is_none() && used.values().filter(|other| *other == id).count() == 1,
                "the ID {id:016x} was used again"
            );
        }
        cluster.put_data(&format!("round-{round}")).await?;
        let after = cluster.scale(1, by).await?;
        ensure!(after == one, "seat 0 is another member: {one:?}, {after:?}");
    }
    cluster.check_data("first").await?;
    for round in 0..3 {
        cluster.check_data(&format!("round-{round}")).await?;
    }
    Ok(())
}
