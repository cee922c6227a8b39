//! Invariants of every scenario, looked at several times
//! a second: one cluster ID, one member for a seat, and no more pods said to
//! be ready than exist.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

use crate::etcd::{Clients, View, seat_name};
use crate::world::etcd_cluster_resource;

/// The time from one sample to the next.
const INTERVAL: Duration = Duration::from_millis(200);
/// The time by which a count of ready pods may lag behind a pod that has just gone:
/// its writer has to hear of it first.
const LAG: Duration = Duration::from_millis(1500);

/// The samples so far, and the scenario's exceptions.
#[derive(Default)]
pub(crate) struct Watch {
    samples: Cell<u64>,
    stale_status: Cell<bool>,
    clusters: RefCell<BTreeMap<String, BTreeMap<u64, String>>>,
    over: RefCell<BTreeMap<String, Instant>>,
    violations: RefCell<BTreeSet<String>>,
}

/// The objects in Kubernetes at one moment.
struct Objects {
    pods: Vec<Pod>,
    sets: Vec<StatefulSet>,
    clusters: Vec<DynamicObject>,
}

impl Watch {
    /// The number of samples.
    pub(crate) fn samples(&self) -> u64 {
        self.samples.get()
    }

    /// The violations of invariants so far.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.borrow().iter().cloned().collect()
    }

    /// The cluster IDs seen for a cluster.
    pub(crate) fn cluster_ids(&self, cluster: &str) -> Vec<u64> {
        self.clusters
            .borrow()
            .get(cluster)
            .map(|ids| ids.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Stops, or starts again, to look at the EtcdCluster's status: nobody may maintain it for a while.
    pub(crate) fn status_may_be_stale(&self, stale: bool) {
        self.stale_status.set(stale);
        self.over.borrow_mut().clear();
    }

    /// Notes that a person has given the cluster up: another one may take its place.
    pub(crate) fn given_up(&self, cluster: &str) {
        self.clusters.borrow_mut().remove(cluster);
    }

    fn violation(&self, what: String) {
        println!("  !! {what}");
        self.violations.borrow_mut().insert(what);
    }

    /// Notes a count of ready pods; it is a violation once it stays too high.
    fn ready(&self, of: String, ready: i64, pods: usize) {
        if ready <= pods as i64 {
            self.over.borrow_mut().remove(&of);
            return;
        }
        let since = *self.over.borrow_mut().entry(of.clone()).or_insert_with(Instant::now);
        if since.elapsed() > LAG {
            self.violation(format!(
                "{of} says {ready} ready for more than {:.1} s, but {pods} pods exist",
                LAG.as_secs_f64()
            ));
        }
    }

    /// Notes what one member says.
    fn view(&self, cluster: &str, pod: &str, view: &View) {
        self.serves(cluster, pod, view.cluster_id);
        let mut seats = BTreeSet::new();
        for member in &view.members {
            if !seats.insert(seat_name(&member.peer_url)) {
                self.violation(format!("{pod} lists two members for one seat: {:?}", view.members));
            }
        }
    }

    /// Notes which cluster a member serves.
    fn serves(&self, cluster: &str, pod: &str, id: u64) {
        let mut clusters = self.clusters.borrow_mut();
        let ids = clusters.entry(cluster.to_owned()).or_default();
        ids.entry(id).or_insert_with(|| pod.to_owned());
        if ids.len() > 1 {
            let all: Vec<_> = ids.iter().map(|(id, pod)| format!("{id:016x} by {pod}")).collect();
            drop(clusters);
            self.violation(format!("{cluster} serves more than one cluster ID: {}", all.join(", ")));
        }
    }
}

/// Takes samples for ever.
pub(crate) async fn run(client: kube::Client, namespace: String, watch: Rc<Watch>) {
    let etcd = Clients::with_patience(Duration::from_millis(600));
    loop {
        let start = Instant::now();
        // While the API server is away there is nothing to compare.
        if let Ok(objects) = objects(&client, &namespace).await {
            check_ready(&watch, &objects);
            check_etcd(&watch, &etcd, &client, &namespace, &objects.pods).await;
            watch.samples.set(watch.samples.get() + 1);
        }
        tokio::time::sleep(INTERVAL.saturating_sub(start.elapsed()).max(Duration::from_millis(20))).await;
    }
}

async fn objects(client: &kube::Client, namespace: &str) -> Result<Objects> {
    let any = ListParams::default().match_any();
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let clusters: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &etcd_cluster_resource());
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    // Pods last: one that has just come must not look missing.
    Ok(Objects {
        sets: sets.list(&any).await?.items,
        clusters: clusters.list(&any).await.map(|list| list.items).unwrap_or_default(),
        pods: pods.list(&any).await?.items,
    })
}

fn cluster_of(pod: &Pod) -> Option<&str> {
    let labels = pod.metadata.labels.as_ref()?;
    (labels.get("app.kubernetes.io/name")? == "etcd")
        .then(|| labels.get("app.kubernetes.io/instance").map(String::as_str))?
}

fn check_ready(watch: &Watch, objects: &Objects) {
    let count = |name: &str| objects.pods.iter().filter(|pod| cluster_of(pod) == Some(name)).count();
    for set in &objects.sets {
        let name = set.metadata.name.as_deref().unwrap_or_default();
        let ready = set
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas)
            .unwrap_or(0);
        watch.ready(format!("StatefulSet {name}"), ready.into(), count(name));
    }
    if watch.stale_status.get() {
        return;
    }
    for cluster in &objects.clusters {
        let name = cluster.metadata.name.as_deref().unwrap_or_default();
        let status = &cluster.data["status"];
        watch.ready(
            format!("EtcdCluster {name}"),
            status["readyReplicas"].as_i64().unwrap_or(0),
            count(name),
        );
        let shown = status["ready"]
            .as_str()
            .and_then(|text| text.split('/').next())
            .and_then(|text| text.parse().ok());
        watch.ready(format!("EtcdCluster {name} (READY)"), shown.unwrap_or(0), count(name));
    }
}

async fn check_etcd(watch: &Watch, etcd: &Clients, client: &kube::Client, namespace: &str, pods: &[Pod]) {
    let answers = join_all(pods.iter().filter_map(|pod| {
        let cluster = cluster_of(pod)?;
        let ip = pod.status.as_ref()?.pod_ip.clone()?;
        Some(async move {
            let address = format!("{ip}:2379");
            let view = match etcd.view(&address).await {
                Ok(view) => Some(view),
                // A learner refuses to list members, and still has a cluster ID.
                Err(_) => etcd.status(&address).await.ok().map(|status| View {
                    cluster_id: status.cluster_id,
                    answered_by: status.member_id,
                    members: Vec::new(),
                }),
            };
            (cluster, pod, view)
        })
    }))
    .await;
    let known = |cluster: &str, id: u64| {
        watch
            .clusters
            .borrow()
            .get(cluster)
            .is_none_or(|ids| ids.contains_key(&id))
    };
    for (cluster, pod, view) in answers {
        let Some(view) = view else { continue };
        // An address may have gone to a pod of another cluster meanwhile.
        if !known(cluster, view.cluster_id) && !still_there(client, namespace, pod).await {
            continue;
        }
        watch.view(cluster, pod.metadata.name.as_deref().unwrap_or_default(), &view);
    }
}

/// True if the pod still exists, with the same address.
async fn still_there(client: &kube::Client, namespace: &str, pod: &Pod) -> bool {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let Ok(Some(now)) = pods.get_opt(pod.metadata.name.as_deref().unwrap_or_default()).await else {
        return false;
    };
    let ip = |pod: &Pod| pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    now.metadata.uid == pod.metadata.uid && ip(&now) == ip(pod)
}

/// Violations as a report shows them.
pub(crate) fn as_json(watch: &Watch) -> Value {
    let clusters = watch.clusters.borrow();
    let ids = clusters.iter().map(|(name, ids)| {
        let ids: BTreeMap<_, _> = ids
            .iter()
            .map(|(id, pod)| (format!("{id:016x}"), pod.clone()))
            .collect();
        (name.clone(), serde_json::json!(ids))
    });
    serde_json::json!({
        "samples": watch.samples(),
        "clusterIDs": ids.collect::<serde_json::Map<_, _>>(),
        "violations": watch.violations(),
    })
}
