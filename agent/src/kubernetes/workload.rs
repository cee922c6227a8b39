//! The StatefulSet: the seats that it wants, if it owns this pod; and the EtcdCluster that owns it.

use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt};
use muster_api::workload::{self, wanted_seats};
use muster_membership::{ClusterId, Published, Wanted, Workload};
use tokio::sync::watch;

use super::{Kubernetes, cluster};
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
        // What a watch that begins anew lists is all there is: a deletion in the gap is told by nothing else.
        let mut listed = false;
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(Event::Init) => {
                    listed = false;
                    continue;
                }
                Ok(Event::InitDone) if !listed => Ok(None),
                Ok(Event::InitDone) => continue,
                Ok(Event::Apply(set) | Event::InitApply(set)) => Ok(Some(set)),
                Ok(Event::Delete(_)) => Ok(None),
                Err(error) => Err(error),
            };
            match event {
                Ok(set) => {
                    backoff.reset();
                    listed = set.is_some();
                    set.iter().for_each(|set| self.note(set));
                    let next = set.as_ref().map_or(Workload::Missing, wants);
                    tracing::trace!(
                        ?next,
                        version = set.and_then(|set| set.resource_version()),
                        "the watch tells"
                    );
                    hint.send_if_modified(|known| known.replace(next) != Some(next));
                }
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
    /// The API server does not answer, or refuses, or what is published cannot be decoded.
    pub(crate) async fn status_cluster(&self) -> Result<Option<ClusterId>, kube::Error> {
        match self.read_cluster().await? {
            Some(found) => cluster::id(&found),
            None => Ok(None),
        }
    }

    /// Reads the members in the EtcdCluster's status; `None` where there is no EtcdCluster.
    ///
    /// # Errors
    /// The API server does not answer, or refuses, or what is published cannot be decoded.
    pub(crate) async fn published(&self) -> Result<Option<Published>, kube::Error> {
        let names = self.api.config.names();
        let found = self.read_cluster().await?;
        found.map(|found| cluster::published(&found, &names)).transpose()
    }

    /// Reads the EtcdCluster that owns the StatefulSet, if one does.
    async fn read_cluster(&self) -> Result<Option<DynamicObject>, kube::Error> {
        let name = self.cluster.borrow().clone();
        match name {
            Some(name) => self.api.clusters.get_opt(&name).await,
            None => Ok(None),
        }
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
    use std::sync::Arc;

    use hyper::Response;
    use kube::client::Body;
    use muster_api::workload::{SHRINK, SHRINK_GENERATION};

    use super::*;
    use crate::kubernetes::mock_api::{MockApi, config, pair};

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

    /// Answers the next request with `body`, in JSON; returns the request's path.
    async fn answer(server: &mut MockApi, status: u16, body: serde_json::Value) -> String {
        let (request, send) = server.next_request().await.unwrap();
        let answer = Response::builder()
            .status(status)
            .body(Body::from(body.to_string().into_bytes()));
        send.send_response(answer.unwrap());
        request.uri().to_string()
    }

    fn listed(sets: &[StatefulSet]) -> serde_json::Value {
        serde_json::json!({
            "kind": "StatefulSetList", "apiVersion": "apps/v1", "metadata": {"resourceVersion": "7"}, "items": sets,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_watch_that_begins_anew_does_not_list_is_missing() {
        let (client, mut server) = pair();
        let reader = Arc::new(WorkloadReader::new(Kubernetes::new(client, &config())));
        let (sender, mut hint) = watch::channel(None);
        let watching = tokio::spawn(async move { reader.watch(sender).await });
        answer(&mut server, 200, listed(&[set(3, None)])).await;
        let wants = hint.wait_for(Option::is_some).await.unwrap().unwrap();
        assert_eq!(wants, Workload::Wants(Wanted(3)));
        // The watch ends, and its version is too old when it is begun again: the StatefulSet was deleted in the gap.
        let gone = serde_json::json!({
            "type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": 410,
                "status": "Failure", "reason": "Expired", "message": "too old resource version"},
        });
        assert!(answer(&mut server, 200, gone).await.contains("watch="));
        answer(&mut server, 200, listed(&[])).await;
        assert!(answer(&mut server, 200, serde_json::json!({})).await.contains("watch="));
        assert_eq!(*hint.borrow_and_update(), Some(Workload::Missing));
        watching.abort();
    }
}
