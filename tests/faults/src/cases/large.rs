//! A large database over a slow link: a joiner that is silent for longer than the patience with a dead one.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::cluster::{Cluster, etcd};
use crate::stage::gate::Party;
use crate::wait::{secs, until};

/// The options of etcd with which a joiner needs a snapshot: the leader keeps 5,000 entries beyond it.
pub(crate) const OPTIONS: &str = r#"["--snapshot-count=500"]"#;
/// The bytes of a value; etcd takes requests of 1.5 MiB.
const VALUE: usize = 1_000_000;
/// The values of the database.
const VALUES: usize = 200;
/// Small writes after them, so that the values are no longer in the leader's log.
const ENTRIES: usize = 6_000;
/// Writes at a time.
const AT_A_TIME: usize = 50;
/// Bytes a second to the joiner: the snapshot takes longer than two minutes.
const RATE: u64 = 1_300_000;
/// Bytes on the joiner's volume by which the snapshot is seen to arrive.
pub(crate) const ARRIVING: u64 = 60_000_000;
/// Bytes of the database by which it is seen to have arrived.
pub(crate) const ARRIVED: u64 = 150_000_000;
/// The time in which all of it takes place, once.
pub(crate) const LASTS: Duration = secs(300);

/// Fills the database, and slows the link to the joiner down.
pub(crate) async fn prepare(cluster: &Rc<Cluster>, joiner: u32) -> Result<()> {
    let (_, address) = cluster.leader().await?;
    let mut client = etcd::connect(address).await?;
    for n in 0..VALUES {
        let put = client.put(format!("large/{n}"), vec![b'x'; VALUE], None);
        put.await.context("a large value")?;
    }
    for n in (0..ENTRIES).step_by(AT_A_TIME) {
        let puts = (n..n + AT_A_TIME).map(|n| {
            let mut client = client.clone();
            async move { client.put("small", n.to_string(), None).await }
        });
        futures::future::try_join_all(puts).await.context("a small value")?;
    }
    cluster.gate.set_rate(Some((Party::Seat(joiner), RATE)));
    Ok(())
}

/// The bytes of a seat's snapshot files of this beginning.
fn bytes(cluster: &Cluster, seat: u32, name: &str) -> Result<u64> {
    let path = cluster.volumes.borrow_mut().of(seat)?.join("data/member/snap");
    let files = std::fs::read_dir(path).into_iter().flatten().flatten();
    Ok(files
        .filter(|file| file.file_name().to_string_lossy().starts_with(name))
        .filter_map(|file| file.metadata().ok())
        .map(|metadata| metadata.len())
        .sum())
}

/// The joiner was not removed while it received or restored: its data was never set aside.
pub(crate) fn was_never_evicted(cluster: &Cluster, joiner: u32) -> Result<()> {
    let archive = cluster.volumes.borrow_mut().of(joiner)?.join("archive");
    ensure!(!archive.exists(), "the joiner was evicted while it made progress");
    Ok(())
}

/// Waits until that many bytes are there.
pub(crate) async fn seen(cluster: &Rc<Cluster>, seat: u32, name: &str, enough: u64) -> Result<()> {
    until(&format!("{enough} bytes"), LASTS, async || {
        let there = bytes(cluster, seat, name)?;
        ensure!(there >= enough, "{there} bytes");
        Ok(())
    })
    .await
}
