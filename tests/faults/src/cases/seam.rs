//! Seams: how a step is seen from outside, and held if it can be.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use muster_agent::volume::wal;
use tokio::sync::{broadcast, oneshot};
use tokio::time::timeout;

use super::large;
use crate::cluster::Cluster;
use crate::fake_kubernetes::CLUSTER;
use crate::fake_kubernetes::container::Line;
use crate::stage::gate::{Caught, Moment, Party};

/// The place where a step is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seam {
    /// A request of the subject, or the reply to it; held.
    Request(&'static str, Moment),
    /// A request of the subject to another seat, or the reply to it; held.
    ToOther(&'static str, Moment),
    /// A request of the subject's agent to its own etcd, or the reply to it; held.
    ToOwn(&'static str, Moment),
    /// The start of the subject's etcd; held.
    Door,
    /// A write-ahead log on the subject's volume; things go on meanwhile.
    Wal,
    /// A line in the subject's agent's log; things go on meanwhile.
    Line(&'static str),
    /// Bytes of the snapshot files of this beginning on the subject's volume; things go on meanwhile.
    Snapshot(&'static str, u64),
}

/// A seam that is being watched.
pub(crate) enum Armed {
    Held(oneshot::Receiver<Caught>),
    Wal,
    Line(&'static str, broadcast::Receiver<Line>),
    Snapshot(&'static str, u64),
}

/// The time from one look at a volume to the next.
const LOOK: Duration = Duration::from_millis(2);

impl Seam {
    /// The request or reply that is held, if it is one.
    pub(crate) fn moment(self) -> Option<Moment> {
        match self {
            Self::Request(_, moment) | Self::ToOther(_, moment) | Self::ToOwn(_, moment) => Some(moment),
            Self::Door | Self::Wal | Self::Line(_) | Self::Snapshot(..) => None,
        }
    }

    /// Watches from now on.
    pub(crate) fn arm(self, cluster: &Cluster, subject: u32) -> Armed {
        let from = Party::Seat(subject);
        let held = |what: &'static str, moment: Moment, whom: fn(Party, Party) -> bool| {
            Armed::Held(cluster.gate.trap(move |passage| {
                passage.from == from
                    && passage.what == what
                    && passage.moment == moment
                    && whom(passage.from, passage.to)
            }))
        };
        match self {
            Self::Request(what, moment) => held(what, moment, |_, _| true),
            Self::ToOther(what, moment) => held(what, moment, |from, to| from != to),
            Self::ToOwn(what, moment) => held(what, moment, |from, to| from == to),
            Self::Door => {
                Armed::Held(cluster.gate.trap(move |passage| {
                    passage.from == Party::Seat(subject) && passage.what.starts_with("start etcd")
                }))
            }
            Self::Wal => Armed::Wal,
            Self::Line(text) => Armed::Line(text, cluster.lines.subscribe()),
            Self::Snapshot(name, bytes) => Armed::Snapshot(name, bytes),
        }
    }
}

impl Armed {
    /// Waits for the step; what can be held is held.
    pub(crate) async fn seen(self, cluster: &Rc<Cluster>, subject: u32, limit: Duration) -> Result<Option<Caught>> {
        let work = async {
            match self {
                Self::Held(caught) => Ok(Some(caught.await.context("the gate closed")?)),
                Self::Wal => loop {
                    let volume = cluster.volumes.borrow_mut().of(subject)?;
                    if wal::has_wal(&volume.join("data")).unwrap_or(false) {
                        return Ok(None);
                    }
                    tokio::time::sleep(LOOK).await;
                },
                Self::Snapshot(name, bytes) => large::seen(cluster, subject, name, bytes).await.map(|()| None),
                Self::Line(text, mut lines) => loop {
                    match lines.recv().await {
                        Ok(line) => {
                            if line.container == format!("{CLUSTER}-{subject}/agent") && line.text.contains(text) {
                                return Ok(None);
                            }
                        }
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(error) => bail!(error),
                    }
                },
            }
        };
        timeout(limit, work)
            .await
            .map_err(|_| anyhow!("the step was not seen within {limit:?}"))?
    }
}
