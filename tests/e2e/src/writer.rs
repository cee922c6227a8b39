//! A client with a memory: it writes through the client Service all the time,
//! and at the end every write that was acknowledged must be there.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etcd_client::Client;
use muster_test_support::written;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::etcd::connect;
use crate::wait::{secs, until};

/// The timeout of one write, which is then tried again on a new connection.
const PATIENCE: Duration = Duration::from_millis(1000);
/// The pause between two writes.
const PAUSE: Duration = Duration::from_millis(15);

/// A writer at work.
pub(crate) struct Writer {
    memory: Rc<Memory>,
    task: JoinHandle<()>,
}

/// The memory of a writer.
#[derive(Default)]
struct Memory {
    stop: Cell<bool>,
    acknowledged: RefCell<Vec<u64>>,
    failures: RefCell<Vec<(Duration, String)>>,
    gap: Cell<(Duration, Duration)>,
}

/// The report of a writer.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// Acknowledged writes, all of them read back.
    pub(crate) acknowledged: usize,
    /// Writes that failed and were tried again under another key.
    pub(crate) failed: usize,
    /// The longest time without an acknowledged write.
    pub(crate) longest_gap: Duration,
    /// The time of that gap, from the writer's start.
    pub(crate) gap_at: Duration,
}

impl Writer {
    /// Starts to write through the cluster's client Service.
    pub(crate) async fn start(cluster: &Cluster<'_>) -> Result<Self> {
        let address = cluster.service_address().await?;
        let memory = Rc::new(Memory::default());
        let task = tokio::task::spawn_local(write_on(address, Rc::clone(&memory)));
        let writer = Self { memory, task };
        until("the first acknowledged write", secs(20), async || {
            ensure!(
                !writer.memory.acknowledged.borrow().is_empty(),
                "failures: {:?}",
                writer.memory.failures.borrow()
            );
            Ok(())
        })
        .await?;
        Ok(writer)
    }

    /// Stops, and reads every acknowledged write back.
    pub(crate) async fn finish(self, cluster: &Cluster<'_>) -> Result<Report> {
        self.memory.stop.set(true);
        self.task.await.context("the writer")?;
        let address = cluster.service_address().await?;
        let found = until("all writes to be read", secs(20), async || {
            connect(&address).await?;
            cluster.cx.world.etcd.range(&address, written::PREFIX, true).await
        })
        .await?;
        let acknowledged = self.memory.acknowledged.borrow();
        written::nothing_is_lost(&acknowledged, &found)?;
        let (longest_gap, gap_at) = self.memory.gap.get();
        let failures = self.memory.failures.borrow();
        for (at, failure) in failures.iter().take(5) {
            cluster
                .cx
                .step(format!("writer, after {:.1} s: {failure}", at.as_secs_f64()));
        }
        let report = Report {
            acknowledged: acknowledged.len(),
            failed: failures.len(),
            longest_gap,
            gap_at,
        };
        cluster.cx.note(format!(
            "{} writes acknowledged and read back, {} failed, longest gap {} ms",
            report.acknowledged,
            report.failed,
            report.longest_gap.as_millis()
        ));
        Ok(report)
    }
}

async fn write_on(address: String, memory: Rc<Memory>) {
    let start = Instant::now();
    let mut last = start;
    let mut client = None;
    let mut n = 0;
    while !memory.stop.get() {
        n += 1;
        match write(&mut client, &address, n).await {
            Ok(()) => {
                memory.acknowledged.borrow_mut().push(n);
                if n > 1 && last.elapsed() > memory.gap.get().0 {
                    memory.gap.set((last.elapsed(), last.duration_since(start)));
                }
                last = Instant::now();
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                // Whether this write took effect is unknown, and its key is used no more.
                memory
                    .failures
                    .borrow_mut()
                    .push((start.elapsed(), format!("{error:#}")));
                client = None;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    let rest = last.elapsed();
    if rest > memory.gap.get().0 {
        memory.gap.set((rest, last.duration_since(start)));
    }
}

async fn write(client: &mut Option<Client>, address: &str, n: u64) -> Result<()> {
    let ready = match client {
        Some(ready) => ready,
        None => client.insert(connect(address).await?),
    };
    tokio::time::timeout(PATIENCE, ready.put(written::key(n), n.to_string(), None))
        .await
        .context("no answer in time")??;
    Ok(())
}
