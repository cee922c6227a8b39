//! A client with a memory: it writes all the time, to whichever pod answers, and at the end
//! every write that was acknowledged must be there.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use etcd_client::Client;
use muster_test_support::written;
use tokio::task::JoinHandle;

use super::Cluster;
use super::etcd::{connect, range};
use crate::wait::{secs, until};

/// The timeout of one write; after it another pod is tried.
const PATIENCE: Duration = Duration::from_millis(1000);
/// The pause between two writes.
const PAUSE: Duration = Duration::from_millis(20);

/// A writer at work.
pub(crate) struct Writer {
    memory: Rc<Memory>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Memory {
    stop: Cell<bool>,
    acknowledged: RefCell<Vec<u64>>,
    failed: Cell<u64>,
    last: Cell<Option<Instant>>,
    gap: Cell<Duration>,
}

/// The report of a writer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// Acknowledged writes, all of them read back.
    pub(crate) acknowledged: usize,
    /// Writes without an answer; they may have taken effect.
    pub(crate) failed: u64,
    /// The longest time between two acknowledged writes.
    pub(crate) longest_gap: Duration,
}

impl Writer {
    pub(crate) fn start(cluster: &Rc<Cluster>) -> Self {
        let memory = Rc::<Memory>::default();
        let task = tokio::task::spawn_local(write_on(cluster.clone(), memory.clone()));
        Self { memory, task }
    }

    /// Forgets what was acknowledged: a person has given that cluster up.
    pub(crate) fn forget(&self) {
        self.memory.acknowledged.borrow_mut().clear();
    }

    /// Waits for a write from now on, stops, and reads every acknowledged write back.
    pub(crate) async fn finish(self, cluster: &Cluster) -> Result<Report> {
        let before = self.memory.acknowledged.borrow().len();
        until("another acknowledged write", secs(30), async || {
            ensure!(self.memory.acknowledged.borrow().len() > before, "there is none");
            Ok(())
        })
        .await?;
        self.memory.stop.set(true);
        self.task.await.context("the writer")?;
        let (_, leader) = until("a leader to read from", secs(30), async || cluster.leader().await).await?;
        let found = until("all writes to be read", secs(30), async || {
            range(leader, written::PREFIX).await
        })
        .await?;
        let acknowledged = self.memory.acknowledged.borrow();
        written::nothing_is_lost(&acknowledged, &found)?;
        Ok(Report {
            acknowledged: acknowledged.len(),
            failed: self.memory.failed.get(),
            longest_gap: self.memory.gap.get(),
        })
    }
}

async fn write_on(cluster: Rc<Cluster>, memory: Rc<Memory>) {
    let mut client: Option<Client> = None;
    let mut turn = 0;
    // Keys of an earlier writer on the same data are not in the way.
    let mut n = u64::from(rand::random::<u32>()) * 1_000_000;
    while !memory.stop.get() {
        n += 1;
        let pods = cluster.pods();
        let written = async {
            let pod = pods.get(turn % pods.len().max(1)).context("there is no pod")?;
            let ready = match &mut client {
                Some(ready) => ready,
                None => client.insert(connect(pod.address).await?),
            };
            let put = ready.put(written::key(n), n.to_string(), None);
            tokio::time::timeout(PATIENCE, put)
                .await
                .context("no answer in time")??;
            anyhow::Ok(())
        };
        if written.await.is_ok() {
            memory.acknowledged.borrow_mut().push(n);
            let now = Instant::now();
            if let Some(last) = memory.last.replace(Some(now)) {
                memory.gap.set(memory.gap.get().max(now - last));
            }
            tokio::time::sleep(PAUSE).await;
        } else {
            // Whether this write took effect is unknown, and its key is used no more.
            memory.failed.set(memory.failed.get() + 1);
            client = None;
            turn += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }
}
