//! Reading the StatefulSet: which seats are wanted, and whether it is ours.

use std::sync::Mutex;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event, watcher};
use muster_api::workload::{SHRINK, wanted_seats};
use muster_membership::{ClusterId, Wanted, Workload};
use tokio::sync::watch;

use super::Kubernetes;

/// Reads the StatefulSet that owns this pod.
#[derive(Debug)]
pub struct WorkloadReader {
    api: Kubernetes,
    /// The StatefulSet that owns this pod, by UID, as last read from the pod.
    owner: Mutex<Option<String>>,
    /// The EtcdCluster that owns the StatefulSet, if there is one.
    cluster: watch::Sender<Option<String>>,
}

impl WorkloadReader {
    /// A reader that knows nothing yet.
    #[must_use]
    pub fn new(api: Kubernetes) -> Self {
        Self {
            api,
            owner: Mutex::default(),
            cluster: watch::Sender::new(None),
        }
    }

    /// The name of the EtcdCluster, as it becomes known.
    pub fn cluster(&self) -> watch::Receiver<Option<String>> {
        self.cluster.subscribe()
    }

    /// A fresh read.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn read(&self) -> Result<Workload, kube::Error> {
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

    /// Tells of every change, until the receiver is gone. Only a reason to look.
    pub async fn watch(&self, hint: watch::Sender<Option<Workload>>) {
        let name = self.api.config.names().stateful_set().to_owned();
        let scope = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = std::pin::pin!(watcher(self.api.stateful_sets.clone(), scope));
        let mut pause = std::time::Duration::from_millis(200);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(set) | Event::InitApply(set)) => {
                    pause = std::time::Duration::from_millis(200);
                    self.note(&set);
                    hint.send_if_modified(|known| known.replace(wants(&set)) != Some(wants(&set)));
                }
                Ok(Event::Delete(_)) => {
                    hint.send_replace(Some(Workload::Missing));
                }
                Ok(Event::Init | Event::InitDone) => {}
                Err(error) => {
                    tracing::debug!(%error, "the watch on the StatefulSet broke; it is begun again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(std::time::Duration::from_secs(10));
                }
            }
        }
    }

    fn owner_uid(&self) -> Option<String> {
        self.owner.lock().ok().and_then(|owner| owner.clone())
    }

    fn note(&self, set: &StatefulSet) {
        let owner = set
            .owner_references()
            .iter()
            .find(|o| o.controller == Some(true) && o.kind == "EtcdCluster");
        let name = owner.map(|o| o.name.clone());
        self.cluster
            .send_if_modified(|known| std::mem::replace(known, name.clone()) != name);
    }

    /// The cluster ID in the EtcdCluster's status; `None` where there is no EtcdCluster or it knows none.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn status_cluster(&self) -> Result<Option<ClusterId>, kube::Error> {
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
    let replicas = spec.and_then(|s| s.replicas).unwrap_or(1).try_into().unwrap_or(0);
    let shrink = set.annotations().get(SHRINK).and_then(|text| text.parse().ok());
    Workload::Wants(Wanted(wanted_seats(replicas, shrink)))
}

#[cfg(test)]
mod tests {
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
    }

    #[test]
    fn seats_that_are_not_counted_from_zero_are_nobodys() {
        let mut odd = set(3, None);
        odd.spec.as_mut().unwrap().ordinals = Some(k8s_openapi::api::apps::v1::StatefulSetOrdinals { start: Some(2) });
        assert_eq!(wants(&odd), Workload::NotMine);
    }
}
