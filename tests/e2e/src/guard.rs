//! The operator never talks to etcd: what it might send to etcd's ports is
//! dropped and counted, and the count is zero at the end of every scenario.

use anyhow::{Context as _, Result, ensure};

use crate::bed::Bed;
use crate::world::{OPERATOR, SYSTEM};

/// Every port of an etcd pod.
const PORTS: &str = "2379,2380,2381,2382";

/// The count of packets from the operator's pods, also of those to come.
pub(crate) struct Guard {
    bed: Bed,
    source: String,
}

impl Guard {
    /// A guard that does not count yet.
    pub(crate) fn new(bed: Bed) -> Self {
        Self {
            bed,
            source: format!("pod:{SYSTEM}/{OPERATOR}-*"),
        }
    }

    /// Begins to drop and to count, at zero.
    pub(crate) async fn arm(&self) -> Result<()> {
        self.bed
            .fault(&["count-traffic", &self.source, "--ports", PORTS, "--drop"])
            .await?;
        Ok(())
    }

    /// Whether nothing was counted since `arm`.
    pub(crate) async fn check(&self) -> Result<()> {
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
