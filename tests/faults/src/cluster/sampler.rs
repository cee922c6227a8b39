//! Invariants that are looked at all the while: one cluster is served, and each member from one volume.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::AbortHandle;

use super::{Cluster, etcd};

const INTERVAL: Duration = Duration::from_millis(250);

/// The observations so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Cluster IDs that were served.
    pub(crate) clusters: BTreeSet<u64>,
    /// The volume that each member was served from.
    pub(crate) members: BTreeMap<u64, PathBuf>,
    /// The violations so far.
    pub(crate) violations: Vec<String>,
    /// The number of answers.
    pub(crate) answers: u64,
}

/// Looks at every pod's etcd, several times a second.
pub(crate) struct Sampler {
    /// The observations so far.
    pub(crate) seen: Rc<RefCell<Seen>>,
    task: AbortHandle,
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sampler {
    pub(crate) fn start(cluster: &Rc<Cluster>) -> Self {
        let seen = Rc::<RefCell<Seen>>::default();
        let (cluster, noted) = (cluster.clone(), seen.clone());
        let task = tokio::task::spawn_local(async move {
            loop {
                let pods = cluster.pods();
                let looks = pods.iter().map(async |pod| (pod, etcd::status(pod.address).await));
                for (pod, status) in join_all(looks).await {
                    if let Ok(status) = status {
                        noted.borrow_mut().note(&status, &pod.spec.volume);
                    }
                }
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self {
            seen,
            task: task.abort_handle(),
        }
    }
}

impl Seen {
    fn note(&mut self, status: &etcd::Status, volume: &PathBuf) {
        self.answers += 1;
        self.clusters.insert(status.cluster_id);
        let known = self.members.entry(status.member_id).or_insert_with(|| volume.clone());
        if known != volume {
            let line = format!(
                "member {:016x} ran on {}, and then on {}",
                status.member_id,
                known.display(),
                volume.display()
            );
            if !self.violations.contains(&line) {
                self.violations.push(line);
            }
        }
    }
}
