//! Traffic from the operator to etcd, which there must never be: its packets to etcd's ports are
//! dropped and counted, and the count is zero at the end of every scenario.

use anyhow::{Context as _, Result, ensure};

use crate::bed::Bed;
use crate::world::{OPERATOR, SYSTEM};

/// Every port of an etcd pod.
const PORTS: &str = "2379,2380,2381,2382";

/// The count of packets from the operator's pods, also of those to come.
pub(crate) struct OperatorTraffic {
    bed: Bed,
    source: String,
}

impl OperatorTraffic {
    /// The count before it has begun.
    pub(crate) fn new(bed: Bed) -> Self {
        Self {
            bed,
            source: format!("pod:{SYSTEM}/{OPERATOR}-*"),
        }
    }

    /// Begins to drop such packets and to count them, from zero.
    pub(crate) async fn start_count(&self) -> Result<()> {
        self.bed
            .fault(&["count-traffic", &self.source, "--ports", PORTS, "--drop"])
            .await?;
        Ok(())
    }

    /// Checks that nothing was counted since [`OperatorTraffic::start_count`].
    pub(crate) async fn ensure_none(&self) -> Result<()> {
        let count = self.bed.fault(&["count", &self.source]).await?;
        let packets: u64 = count
            .trim()
            .parse()
            .with_context(|| format!("the count of packets is {count:?}"))?;
        ensure!(
            packets == 0,
            "the operator sent {packets} packets to etcd's ports {PORTS}"
        );
        Ok(())
    }
}
