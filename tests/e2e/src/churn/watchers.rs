//! Watch streams: each must have seen every change, in order, across all
//! reconnections.

use std::cell::RefCell;
use std::io::Write as _;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use etcd_client::{Client, GetOptions, WatchOptions};
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::etcd::connect;
use crate::wait::{secs, until};

/// The number of streams.
const STREAMS: usize = 2;
/// A stream that is silent for this long is opened again: it may be one of a
/// member that is cut off.
const SILENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Change {
    revision: i64,
    key: String,
    value: String,
}

/// The streams that are open.
pub(super) struct Watchers {
    address: String,
    first: i64,
    streams: Vec<(Seen, JoinHandle<()>)>,
}

/// The changes that a stream has seen so far.
type Seen = Rc<RefCell<Vec<Change>>>;

impl Watchers {
    pub(super) async fn start(cluster: &Cluster<'_>) -> Result<Self> {
        let address = cluster.service_address().await?;
        // kube-proxy hears of ready pods a moment after the StatefulSet's status has them.
        let first = until("the client Service to answer", secs(20), async || {
            revision(&address).await
        })
        .await?
            + 1;
        let streams = (0..STREAMS).map(|_| {
            let seen = Rc::new(RefCell::new(Vec::new()));
            let task = tokio::task::spawn_local(watch_on(address.clone(), first, Rc::clone(&seen)));
            (seen, task)
        });
        let streams = streams.collect();
        Ok(Self {
            address,
            first,
            streams,
        })
    }

    /// Lets the streams catch up, closes them, and writes down what they saw,
    /// beside what etcd itself has.
    pub(super) async fn finish(self, cluster: &Cluster<'_>, folder: &Path) -> Result<()> {
        let last = until("a revision to compare with", secs(30), async || {
            revision(&self.address).await
        })
        .await?;
        until("the watch streams to catch up", secs(60), async || {
            let behind: Vec<_> = self
                .streams
                .iter()
                .map(|(seen, _)| seen.borrow().last().map_or(0, |change| change.revision))
                .collect();
            anyhow::ensure!(
                behind.iter().all(|revision| *revision >= last),
                "they are at {behind:?} of {last}"
            );
            Ok(())
        })
        .await?;
        let truth = Rc::new(RefCell::new(Vec::new()));
        let task = tokio::task::spawn_local(watch_on(self.address.clone(), self.first, Rc::clone(&truth)));
        until("etcd's own history", secs(60), async || {
            let reached = truth.borrow().last().map_or(0, |change: &Change| change.revision);
            anyhow::ensure!(reached >= last, "it is at {reached} of {last}");
            Ok(())
        })
        .await?;
        task.abort();
        write(&folder.join("watch-truth.jsonl"), &truth.borrow())?;
        for (number, (seen, task)) in self.streams.iter().enumerate() {
            task.abort();
            write(&folder.join(format!("watch-{number}.jsonl")), &seen.borrow())?;
        }
        cluster
            .cx
            .step(format!("{STREAMS} watch streams reached revision {last}"));
        Ok(())
    }
}

async fn revision(address: &str) -> Result<i64> {
    let mut client = connect(address).await?;
    let answer = tokio::time::timeout(
        secs(3),
        client.get("churn/", Some(GetOptions::new().with_prefix().with_count_only())),
    )
    .await??;
    Ok(answer.header().context("an answer without a header")?.revision())
}

async fn watch_on(address: String, first: i64, seen: Seen) {
    loop {
        let next = seen.borrow().last().map_or(first, |change| change.revision + 1);
        // Every stream ends one day; the next one begins where it ended.
        let _ended = watch(&address, next, &seen).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn watch(address: &str, from: i64, seen: &RefCell<Vec<Change>>) -> Result<()> {
    let mut client: Client = connect(address).await?;
    let options = WatchOptions::new()
        .with_prefix()
        .with_start_revision(from)
        .with_progress_notify();
    let mut stream = tokio::time::timeout(secs(3), client.watch("churn/", Some(options))).await??;
    loop {
        let answer = tokio::time::timeout(SILENCE, stream.message()).await?;
        let Some(answer) = answer? else {
            bail!("the stream ended")
        };
        if answer.canceled() {
            bail!("canceled: {}", answer.cancel_reason());
        }
        for event in answer.events() {
            let pair = event.kv().context("an event without a key")?;
            seen.borrow_mut().push(Change {
                revision: pair.mod_revision(),
                key: pair.key_str()?.to_owned(),
                value: pair.value_str()?.to_owned(),
            });
        }
    }
}

fn write(path: &Path, changes: &[Change]) -> Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for change in changes {
        serde_json::to_writer(&mut file, change)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(())
}
