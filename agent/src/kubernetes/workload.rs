//! The StatefulSet: the seats that it wants, if it owns this pod; and the EtcdCluster that owns it.

use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt};
use muster_api::workload::{self, wanted_seats};
use muster_membership::{ClusterId, Wanted, Workload};
use tokio::sync::watch;

use super::Kubernetes;
use crate::backoff::Backoff;

/// First and longest pause before a broken watch is begun again; up to twice as long by chance.
const FIRST_PAUSE: Duration = Duration::from_millis(150);
const LONGEST_PAUSE: Duration = Duration::from_secs(6);

/// Reads the StatefulSet that owns this pod.
#[derive(Debug)]
pub(crate) struct WorkloadReader {
    api: Kubernetes,
    /// The StatefulSet that owns this pod, by UID, as last read from the pod.
    owner: Mutex<Option<String>>,
    /// The EtcdCluster that owns the StatefulSet, if there is one.
    cluster: watch::Sender<Option<String>>,
    /// The EtcdCluster, or else the StatefulSet.
    subject: watch::Sender<Option<ObjectReference>>,
    replicas: watch::Sender<Option<u32>>,
    /// The operator's question for a newer member list, as seen last.
    question: watch::Sender<Option<String>>,
}

impl WorkloadReader {
    /// A reader that knows nothing yet.
    pub(crate) fn new(api: Kubernetes) -> Self {
        Self {
            api,
            owner: Mutex::default(),
            cluster: watch::Sender::new(None),
            subject: watch::Sender::new(None),
            replicas: watch::Sender::new(None),
            question: watch::Sender::new(None),
        }
    }

    /// The name of the EtcdCluster, as it becomes known.
    pub(crate) fn cluster(&self) -> watch::Receiver<Option<String>> {
        self.cluster.subscribe()
    }

    /// The StatefulSet's replicas, as seen last.
    pub(crate) fn replicas(&self) -> Option<u32> {
        *self.replicas.borrow()
    }

    /// The operator's question for a newer member list, as seen last.
    pub(crate) fn question(&self) -> Option<String> {
        self.question.borrow().clone()
    }

    /// The object that Events are about, as it becomes known: the EtcdCluster, or the StatefulSet where there is none.
    pub(crate) fn subject(&self) -> watch::Receiver<Option<ObjectReference>> {
        self.subject.subscribe()
    }

    /// Reads the StatefulSet afresh; the pod too, if its owner is not known.
    ///
    /// # Errors
    /// The API server does not answer, or refuses.
    pub(crate) async fn read(&self) -> Result<Workload, kube::Error> {
        let name = self.api.config.names().stateful_set().to_owned();
        let Some(set) = self.api.stateful_sets.get_opt(&name).await? else {
            return Ok(Workload::Missing);
        };
        self.note(&set);
        let uid = set.uid().unwrap_or_default();
        if self.owner_uid().as_deref() != Some(uid.as_str()) {
            let pod = self.api.pods.get(&self.api.config.pod).await?;
            let same = pod.uid().as_deref() == Some(self.api.config.pod_uid.as_str());
            let owner = pod
                .owner_references()
                .iter()
                .find(|o| o.controller == Some(true) && o.kind == "StatefulSet");
            if let Ok(mut known) = self.owner.lock() {
                *known = owner.filter(|_| same).map(|o| o.uid.clone());
            }
        }
        Ok(if self.owner_uid().as_deref() == Some(uid.as_str()) {
            wants(&set)
        } else {
            Workload::NotMine
        })
    }

    /// Watches the StatefulSet, and puts each change into `hint`: a reason to look, never to act.
    pub(crate) async fn watch(&self, hint: watch::Sender<Option<Workload>>) {
        let name = self.api.config.names().stateful_set().to_owned();
        let scope = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = std::pin::pin!(watcher(self.api.stateful_sets.clone(), scope));
        let mut backoff = Backoff::with_jitter(FIRST_PAUSE, LONGEST_PAUSE);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(set) | Event::InitApply(set)) => {
                    backoff.reset();
                    self.note(&set);
                    let next = wants(&set);
                    tracing::trace!(?next, version = set.resource_version(), "the watch tells");
                    hint.send_if_modified(|known| known.replace(next) != Some(next));
                }
                Ok(Event::Delete(_)) => {
                    hint.send_replace(Some(Workload::Missing));
                }
                Ok(Event::Init | Event::InitDone) => {}
                Err(error) => {
                    tracing::debug!(%error, "the watch on the StatefulSet broke; it is begun again");
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    fn owner_uid(&self) -> Option<String> {
        self.owner.lock().ok().and_then(|owner| owner.clone())
    }

    fn note(&self, set: &StatefulSet) {
        let name = cluster_of(set).map(|o| o.name.clone());
        self.cluster
            .send_if_modified(|known| std::mem::replace(known, name.clone()) != name);
        self.replicas.send_replace(Some(workload::replicas(set)));
        self.question.send_replace(workload::question(set).map(str::to_owned));
        let subject = Some(subject(set));
        self.subject
            .send_if_modified(|known| std::mem::replace(known, subject.clone()) != subject);
    }

    /// Reads the cluster ID in the EtcdCluster's status; `None` where there is no EtcdCluster or it knows none.
    ///
    /// # Errors
    /// The API server does not answer, or refuses.
    pub(crate) async fn status_cluster(&self) -> Result<Option<ClusterId>, kube::Error> {
        let Some(name) = self.cluster.borrow().clone() else {
            return Ok(None);
        };
        let found = self.api.clusters.get_opt(&name).await?;
        Ok(found
            .and_then(|c| c.status)
            .and_then(|s| s.cluster_id)
            .map(|id| ClusterId(id.0)))
    }
}

fn cluster_of(set: &StatefulSet) -> Option<&OwnerReference> {
    set.owner_references()
        .iter()
        .find(|o| o.controller == Some(true) && o.kind == "EtcdCluster")
}

/// A reference by UID, without which `kubectl describe` does not find the Events.
fn subject(set: &StatefulSet) -> ObjectReference {
    let Some(owner) = cluster_of(set) else {
        return ObjectReference {
            resource_version: None,
            ..set.object_ref(&())
        };
    };
    ObjectReference {
        api_version: Some(owner.api_version.clone()),
        kind: Some(owner.kind.clone()),
        name: Some(owner.name.clone()),
        namespace: set.namespace(),
        uid: Some(owner.uid.clone()),
        ..ObjectReference::default()
    }
}

fn wants(set: &StatefulSet) -> Workload {
    if set.metadata.deletion_timestamp.is_some() {
        return Workload::Deleting;
    }
    let spec = set.spec.as_ref();
    if spec
        .and_then(|s| s.ordinals.as_ref())
        .and_then(|o| o.start)
        .is_some_and(|start| start != 0)
    {
        // Seats are counted from 0; a StatefulSet that counts otherwise says nothing about them.
        return Workload::NotMine;
    }
    Workload::Wants(Wanted(wanted_seats(set)))
}

#[cfg(test)]
mod tests {
    use muster_api::workload::{SHRINK, SHRINK_GENERATION};

    use super::*;

    fn set(replicas: i32, shrink: Option<&str>) -> StatefulSet {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "c", "annotations": shrink.map(|s| serde_json::json!({SHRINK: s}))},
            "spec": {"replicas": replicas, "selector": {}, "serviceName": "c-peer", "template": {}},
        }))
        .unwrap()
    }

    #[test]
    fn a_target_counts_only_for_the_replicas_that_it_was_made_for() {
        assert_eq!(wants(&set(5, Some("5->3"))), Workload::Wants(Wanted(3)));
        assert_eq!(wants(&set(4, Some("5->3"))), Workload::Wants(Wanted(4)));
        assert_eq!(wants(&set(5, Some("nonsense"))), Workload::Wants(Wanted(5)));
        let mut again = set(5, Some("5->3"));
        again.metadata.generation = Some(10);
        let annotations = again.metadata.annotations.as_mut().unwrap();
        annotations.insert(SHRINK_GENERATION.into(), "8".into());
        assert_eq!(wants(&again), Workload::Wants(Wanted(5)));
    }

    #[test]
    fn events_are_about_the_etcd_cluster_or_else_the_stateful_set() {
        let mut set = set(3, None);
        set.metadata.uid = Some("s".into());
        set.metadata.namespace = Some("ns".into());
        let told = |set: &StatefulSet| {
            let about = subject(set);
            (about.api_version, about.kind, about.name, about.namespace, about.uid)
        };
        let expected =
            |api: &str, kind: &str, uid: &str| [api, kind, "c", "ns", uid].map(|text| Some(text.to_owned())).into();
        assert_eq!(told(&set), expected("apps/v1", "StatefulSet", "s"));
        set.metadata.owner_references = Some(vec![OwnerReference {
            api_version: "etcd.etcd.io/v1alpha1".into(),
            kind: "EtcdCluster".into(),
            name: "c".into(),
            uid: "e".into(),
            controller: Some(true),
            block_owner_deletion: None,
        }]);
        assert_eq!(told(&set), expected("etcd.etcd.io/v1alpha1", "EtcdCluster", "e"));
    }

    #[test]
    fn seats_that_are_not_counted_from_zero_are_nobodys() {
        let mut odd = set(3, None);
        odd.spec.as_mut().unwrap().ordinals = Some(k8s_openapi::api::apps::v1::StatefulSetOrdinals { start: Some(2) });
        assert_eq!(wants(&odd), Workload::NotMine);
    }
}
