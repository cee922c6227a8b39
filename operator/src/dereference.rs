//! Reads what a reconciliation depends on, from the API server alone. Client required.

use std::collections::BTreeMap;

use futures::TryFutureExt;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use muster_api::cluster::EtcdCluster;
use muster_api::names::Names;
use muster_api::status::EtcdClusterStatus;

pub(crate) use self::claims::ClaimView;
use crate::error::ReconcileError;
use crate::obstacle::{self, Obstacle};
use crate::stored;

mod claims;
mod obstacles;

/// The objects of a cluster as they were read.
#[derive(Debug, Clone)]
pub(crate) struct ObservedCluster {
    pub(crate) cluster: EtcdCluster,
    /// The StatefulSet of its name, whoever it belongs to.
    pub(crate) set: Option<StatefulSet>,
    /// The birth record of its name, whoever it belongs to.
    pub(crate) record: Option<ConfigMap>,
    /// Its pods, by seat.
    pub(crate) pods: Vec<PodView>,
    /// Its volume claims: those of its name while it has no StatefulSet or no birth record, later those of its labels
    /// and those that its ready pods use.
    pub(crate) claims: Vec<ClaimView>,
    /// The revision that its pods were made from, if they have outlived their StatefulSet.
    pub(crate) revision: Option<ControllerRevision>,
    /// The obstacles that keep wanted pods from running, by seat.
    pub(crate) obstacles: BTreeMap<u32, Obstacle>,
}

/// A pod of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PodView {
    pub(crate) name: String,
    pub(crate) seat: u32,
    pub(crate) uid: String,
    /// True if Kubernetes counts it as ready.
    pub(crate) ready: bool,
    /// True if it is being deleted.
    pub(crate) terminating: bool,
    /// The revision of the template that it was made from.
    pub(crate) revision: Option<String>,
    /// The node that it runs on.
    pub(crate) node: Option<String>,
}

impl ObservedCluster {
    /// The status as it is stored, with the agents' fields; empty if there is none yet.
    pub(crate) fn published(&self) -> EtcdClusterStatus {
        self.cluster.status.clone().unwrap_or_default()
    }
}

/// Reads the cluster; nothing if it is gone or going.
///
/// # Errors
/// A request failed, or this release cannot read the EtcdCluster.
pub(crate) async fn dereference(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<ObservedCluster>, ReconcileError> {
    let names = Names::new(name);
    let clusters = stored::clusters(client, namespace);
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let records: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);

    let selected = ListParams::default().labels(&names.selector_text());
    let record = names.birth_record();
    let (cluster, set, record, pods) = futures::try_join!(
        clusters.get_opt(name).map_err(ReconcileError::reading("EtcdCluster")),
        sets.get_opt(names.stateful_set())
            .map_err(ReconcileError::reading("StatefulSet")),
        records
            .get_opt(&record)
            .map_err(ReconcileError::reading("birth record")),
        pods.list(&selected).map_err(ReconcileError::reading("pods")),
    )?;
    let Some(cluster) = cluster.filter(|cluster| cluster.metadata.deletion_timestamp.is_none()) else {
        return Ok(None);
    };
    let cluster = stored::read(cluster)?;
    let found = pods.items;
    let mut pods: Vec<PodView> = found.iter().filter_map(|pod| pod_view(&names, pod)).collect();
    pods.sort_by_key(|pod| pod.seat);
    let all = set.is_none() || record.is_none();
    let claims = if all || cluster.spec.storage.ephemeral.is_none() {
        claims::read(client, namespace, &names, &pods, all).await?
    } else {
        Vec::new()
    };
    let revision = match (&set, pods.iter().find_map(|pod| pod.revision.clone())) {
        (None, Some(revision)) => {
            let revisions: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
            let found = revisions.get_opt(&revision).await;
            found.map_err(ReconcileError::reading("pods' revision"))?
        }
        _ => None,
    };
    let obstacles = match &set {
        Some(set) => {
            let sight = obstacles::Sight {
                cluster: &cluster,
                names: &names,
                set,
                pods: &found,
                claims: &claims,
                now: Timestamp::now(),
            };
            obstacles::read(client, namespace, &sight).await
        }
        None => BTreeMap::new(),
    };
    Ok(Some(ObservedCluster {
        cluster,
        set,
        record,
        pods,
        claims,
        revision,
        obstacles,
    }))
}

fn pod_view(names: &Names, pod: &Pod) -> Option<PodView> {
    let name = pod.name_any();
    Some(PodView {
        seat: names.seat_of_pod(&name)?,
        uid: pod.uid()?,
        ready: obstacle::pod::is_ready(pod),
        terminating: pod.meta().deletion_timestamp.is_some(),
        revision: pod.labels().get("controller-revision-hash").cloned(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        name,
    })
}
