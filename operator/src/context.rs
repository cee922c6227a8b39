//! State that all reconciliations share, and the cache of the objects that they need not write again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::{Client, ResourceExt};
use muster_api::cluster::EtcdCluster;

use crate::error::named;
use crate::events::recorder::EventRecorder;
use crate::service::http::Vitals;
use crate::service::refusals::Refusals;
use crate::service::retry::Failures;

/// Time after which a cluster is reconciled and its objects are written without a cause, in case a change was missed.
pub(crate) const RESYNC: Duration = Duration::from_secs(600);

/// State that all reconciliations share.
pub(crate) struct Context {
    pub(crate) client: Client,
    /// Image of the agent in new pods.
    pub(crate) agent_image: String,
    pub(crate) events: EventRecorder,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) failures: Failures,
    /// Evictions that are not allowed.
    pub(crate) refusals: Refusals,
    pub(crate) dependents: DependentsCache,
}

/// The writes that a reconciliation can leave out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The dependents were written, and none of them has changed since.
    pub(crate) dependents_written: bool,
    /// The StatefulSet was written as a whole. One that was not may differ from what is built in any field.
    pub(crate) set_written: bool,
}

/// The clusters whose objects this operator has written during its term, by `namespace/name`.
#[derive(Debug, Default)]
pub(crate) struct DependentsCache {
    entries: Mutex<BTreeMap<String, WrittenCluster>>,
}

#[derive(Debug, Clone)]
struct WrittenCluster {
    uid: String,
    written_at: Instant,
    changed: bool,
    set_written: bool,
}

impl DependentsCache {
    /// Notes that an object beside the cluster's StatefulSet has changed. `cluster` is `namespace/name`.
    pub(crate) fn note_change(&self, cluster: &str) {
        if let Some(entry) = self.lock().get_mut(cluster) {
            entry.changed = true;
        }
    }

    /// Forgets a cluster that is gone, or whose objects could not be written.
    pub(crate) fn forget(&self, cluster: &impl ResourceExt) {
        self.lock().remove(&named(cluster));
    }

    /// Returns the writes that are known to be done.
    pub(crate) fn known(&self, cluster: &EtcdCluster) -> Known {
        self.entry(cluster).map_or_else(Known::default, |entry| Known {
            dependents_written: !entry.changed,
            set_written: entry.set_written,
        })
    }

    /// Notes that the dependents are about to be written.
    pub(crate) fn begin(&self, cluster: &EtcdCluster) {
        let entry = WrittenCluster {
            uid: cluster.uid().unwrap_or_default(),
            written_at: Instant::now(),
            changed: false,
            set_written: self.known(cluster).set_written,
        };
        self.lock().insert(named(cluster), entry);
    }

    /// Notes that the StatefulSet was written as a whole.
    pub(crate) fn note_set_written(&self, cluster: &EtcdCluster) {
        if let Some(entry) = self.lock().get_mut(&named(cluster)) {
            entry.set_written = true;
        }
    }

    /// The entry of this very cluster, unless it is older than [`RESYNC`].
    fn entry(&self, cluster: &EtcdCluster) -> Option<WrittenCluster> {
        let entry = self.lock().get(&named(cluster)).cloned();
        entry.filter(|entry| Some(&entry.uid) == cluster.uid().as_ref() && entry.written_at.elapsed() < RESYNC)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, WrittenCluster>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use muster_api::cluster::EtcdClusterSpec;

    use super::*;

    fn cluster(uid: &str) -> EtcdCluster {
        let mut cluster = EtcdCluster::new("db", EtcdClusterSpec::of_size(3));
        cluster.metadata.namespace = Some("ns".into());
        cluster.metadata.uid = Some(uid.into());
        cluster
    }

    #[test]
    fn nothing_is_known_before_the_first_write_and_of_another_cluster_of_the_same_name() {
        let cache = DependentsCache::default();
        assert_eq!(cache.known(&cluster("1")), Known::default());
        cache.begin(&cluster("1"));
        assert!(cache.known(&cluster("1")).dependents_written);
        assert_eq!(cache.known(&cluster("2")), Known::default());
    }

    #[test]
    fn a_change_asks_for_the_dependents_and_not_for_the_stateful_set() {
        let cache = DependentsCache::default();
        cache.begin(&cluster("1"));
        cache.note_set_written(&cluster("1"));
        cache.note_change("ns/db");
        let known = cache.known(&cluster("1"));
        assert_eq!((known.dependents_written, known.set_written), (false, true));
        cache.begin(&cluster("1"));
        let known = cache.known(&cluster("1"));
        assert_eq!((known.dependents_written, known.set_written), (true, true));
    }
}
