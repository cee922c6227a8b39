//! The few objects that agents read and write, with their versions.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use muster_api::birth::BirthRecord;
use muster_api::names::Names;
use muster_api::workload::SHRINK;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{CLUSTER, NAMESPACE};

/// The StatefulSet's and the EtcdCluster's UIDs.
const SET_UID: &str = "set-uid";
const CLUSTER_UID: &str = "cluster-uid";

/// A pod, as the API server knows it.
#[derive(Debug, Clone)]
pub(crate) struct PodEntry {
    pub(crate) uid: String,
    pub(crate) address: Ipv4Addr,
    /// True if it is being deleted.
    pub(crate) terminating: bool,
}

/// The API server's objects.
#[derive(Debug)]
pub(crate) struct Objects {
    names: Names,
    version: Cell<u64>,
    /// Replicas and the operator's target.
    scale: RefCell<(u32, Option<String>)>,
    scale_version: Cell<u64>,
    birth: RefCell<Option<Value>>,
    status: RefCell<Value>,
    /// The pods by seat.
    pub(crate) pods: RefCell<BTreeMap<u32, PodEntry>>,
    /// Ticks when the StatefulSet changes.
    pub(crate) set_changed: watch::Sender<()>,
}

/// The object after a write, or the status code and reason of its refusal.
pub(crate) type Written = Result<Value, (u16, &'static str)>;

impl Objects {
    /// Objects of a cluster of this size, with this birth record.
    pub(crate) fn new(replicas: u32, birth: &BirthRecord) -> Self {
        let objects = Self {
            names: Names::new(CLUSTER),
            version: Cell::new(1),
            scale: RefCell::new((replicas, None)),
            scale_version: Cell::new(1),
            birth: RefCell::new(None),
            status: RefCell::new(json!({})),
            pods: RefCell::default(),
            set_changed: watch::Sender::new(()),
        };
        objects.store_birth(json!(birth.to_data()));
        objects
    }

    fn next_version(&self) -> String {
        self.version.set(self.version.get() + 1);
        self.version.get().to_string()
    }

    /// Sets replicas, and the operator's target if it shrinks.
    pub(crate) fn set_scale(&self, replicas: u32, shrink: Option<String>) {
        *self.scale.borrow_mut() = (replicas, shrink);
        self.next_version();
        self.scale_version.set(self.version.get());
        self.set_changed.send_replace(());
    }

    pub(crate) fn replicas(&self) -> u32 {
        self.scale.borrow().0
    }

    pub(crate) fn stateful_set(&self) -> Value {
        let (replicas, shrink) = &*self.scale.borrow();
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {
                "name": CLUSTER, "namespace": NAMESPACE, "uid": SET_UID,
                "resourceVersion": self.scale_version.get().to_string(),
                "annotations": shrink.as_ref().map(|text| json!({ SHRINK: text })),
                "ownerReferences": [{
                    "apiVersion": "etcd.etcd.io/v1alpha1", "kind": "EtcdCluster",
                    "name": CLUSTER, "uid": CLUSTER_UID, "controller": true,
                }],
            },
            "spec": {
                "replicas": replicas, "serviceName": self.names.peer_service(),
                "selector": { "matchLabels": self.names.selector() },
                "template": { "metadata": { "labels": self.names.pod_labels() } },
            },
        })
    }

    /// The version of everything, for lists.
    pub(crate) fn list_version(&self) -> String {
        self.version.get().to_string()
    }

    pub(crate) fn pod(&self, name: &str) -> Option<Value> {
        let seat = self.names.seat_of_pod(name)?;
        let pods = self.pods.borrow();
        let pod = pods.get(&seat)?;
        Some(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": NAMESPACE, "uid": pod.uid,
                "deletionTimestamp": pod.terminating.then_some("2026-01-01T00:00:00Z"),
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "StatefulSet",
                    "name": CLUSTER, "uid": SET_UID, "controller": true,
                }],
            },
            "status": { "podIP": pod.address.to_string() },
        }))
    }

    /// The EndpointSlice of the peer Service.
    pub(crate) fn endpoint_slices(&self) -> Value {
        let pods = self.pods.borrow();
        let endpoints: Vec<_> = pods
            .iter()
            .map(|(seat, pod)| {
                let name = self.names.pod(*seat);
                json!({
                    "addresses": [pod.address.to_string()], "hostname": name,
                    "conditions": { "ready": !pod.terminating, "serving": true, "terminating": pod.terminating },
                    "targetRef": { "kind": "Pod", "name": name, "namespace": NAMESPACE, "uid": pod.uid },
                })
            })
            .collect();
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList",
            "metadata": { "resourceVersion": self.list_version() },
            "items": [{
                "metadata": { "name": format!("{}-1", self.names.peer_service()), "namespace": NAMESPACE },
                "addressType": "IPv4", "endpoints": endpoints, "ports": [],
            }],
        })
    }

    /// The birth record's ConfigMap.
    pub(crate) fn birth(&self) -> Option<Value> {
        self.birth.borrow().clone()
    }

    /// The birth record itself.
    pub(crate) fn birth_record(&self) -> Option<BirthRecord> {
        let birth = self.birth.borrow();
        let data = serde_json::from_value(birth.as_ref()?["data"].clone()).ok()?;
        BirthRecord::from_data(&data).ok()
    }

    /// Deletes the birth record.
    pub(crate) fn delete_birth(&self) {
        *self.birth.borrow_mut() = None;
    }

    /// Writes a value into the birth record, as a person does.
    pub(crate) fn patch_birth(&self, key: &str, value: &str) {
        let data = self.birth.borrow().as_ref().map(|object| object["data"].clone());
        let mut data = data.unwrap_or_else(|| json!({}));
        data[key] = value.into();
        self.store_birth(data);
    }

    fn store_birth(&self, data: Value) -> Value {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": self.names.birth_record(), "namespace": NAMESPACE, "uid": "birth-uid",
                "resourceVersion": self.next_version(),
            },
            "data": data,
        });
        *self.birth.borrow_mut() = Some(object.clone());
        object
    }

    /// Replaces the birth record, if it is still the version that was read.
    pub(crate) fn replace_birth(&self, new: &Value) -> Written {
        let known = self.birth().ok_or((404, "NotFound"))?;
        let read = &new["metadata"]["resourceVersion"];
        if read.is_string() && *read != known["metadata"]["resourceVersion"] {
            return Err((409, "Conflict"));
        }
        Ok(self.store_birth(new["data"].clone()))
    }

    /// Applies the birth record: the keys in it, whether it is there or not.
    pub(crate) fn apply_birth(&self, new: &Value) -> Written {
        let mut data = self.birth().map_or_else(|| json!({}), |known| known["data"].clone());
        for (key, value) in new["data"].as_object().into_iter().flatten() {
            data[key] = value.clone();
        }
        Ok(self.store_birth(data))
    }

    pub(crate) fn etcd_cluster(&self) -> Value {
        json!({
            "apiVersion": "etcd.etcd.io/v1alpha1", "kind": "EtcdCluster",
            "metadata": {
                "name": CLUSTER, "namespace": NAMESPACE, "uid": CLUSTER_UID, "resourceVersion": self.list_version(),
            },
            "spec": { "size": self.replicas() },
            "status": *self.status.borrow(),
        })
    }

    /// Applies a part of the EtcdCluster's status: seats by name, everything else as it comes.
    pub(crate) fn apply_status(&self, patch: &Value) -> Written {
        let mut status = self.status.borrow_mut();
        for (key, value) in patch["status"].as_object().into_iter().flatten() {
            let seats = value.as_array().filter(|_| key == "seats");
            let Some(seats) = seats else {
                status[key] = value.clone();
                continue;
            };
            let mut known = status[key].as_array().cloned().unwrap_or_default();
            for seat in seats {
                known.retain(|one| one["name"] != seat["name"]);
                known.push(seat.clone());
            }
            status[key] = known.into();
        }
        drop(status);
        self.next_version();
        Ok(self.etcd_cluster())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_writes_on_one_version_the_second_fails() {
        let objects = Objects::new(3, &BirthRecord::unclaimed("", true));
        let read = objects.birth().unwrap();
        assert!(objects.replace_birth(&read).is_ok());
        assert_eq!(objects.replace_birth(&read), Err((409, "Conflict")));
    }

    #[test]
    fn each_agent_has_its_own_entry_in_the_status() {
        let objects = Objects::new(3, &BirthRecord::unclaimed("", true));
        for (name, phase) in [("c-0", "Waiting"), ("c-1", "Waiting"), ("c-0", "Voter")] {
            let patch = json!({ "status": { "seats": [{ "name": name, "phase": phase }] } });
            objects.apply_status(&patch).unwrap();
        }
        let seats = objects.etcd_cluster()["status"]["seats"].clone();
        assert_eq!(seats.as_array().unwrap().len(), 2);
        assert!(
            seats
                .as_array()
                .unwrap()
                .contains(&json!({ "name": "c-0", "phase": "Voter" }))
        );
    }
}
