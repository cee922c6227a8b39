//! The watches: changes that lead to a reconciliation.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Future, Stream, StreamExt};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::api::PartialObjectMeta;
use kube::runtime::controller::{Action, Config, Error as ControllerError};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::utils::Backoff;
use kube::runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use muster_api::cluster::EtcdCluster;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::{ReconcileError, named};
use crate::reconcile::reconcile;

/// The pause of all watches after one of them failed. They share one pause, and after an outage each has its own
/// failure: with the usual pauses, which grow to half a minute and more, the operator saw nothing for four minutes
/// after ten seconds without API server.
#[derive(Debug)]
struct Pause;

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(500))
    }
}

impl Backoff for Pause {
    fn reset(&mut self) {}
}

/// The label that names an object's cluster.
const INSTANCE: &str = "app.kubernetes.io/instance";
/// Reconciliations at a time: after a restart every cluster is due at once.
const CONCURRENCY: u16 = 16;
/// Longest time of one reconciliation.
const DEADLINE: Duration = Duration::from_secs(60);

/// An EtcdCluster as it is watched: its metadata, which always can be decoded. [`stored`](crate::stored) reads the rest.
pub(crate) type ClusterKey = PartialObjectMeta<EtcdCluster>;

/// Reconciles until `stop`, and then finishes what has begun. `watching` is the client for watches, whose requests last.
pub(crate) async fn run(
    context: Arc<Context>,
    watching: Client,
    namespace: Option<&str>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let ours = || watcher::Config::default().labels("app.kubernetes.io/managed-by=muster");
    let pods =
        watcher::Config::default().labels("app.kubernetes.io/managed-by=muster,app.kubernetes.io/component=member");
    let (for_services, for_records) = (context.clone(), context.clone());
    let (reader, writer) = reflector::store();
    let clusters = changes::<EtcdCluster>(&watching, namespace, watcher::Config::default());
    let clusters = clusters.reflect(writer).applied_objects();
    let sets = changes::<StatefulSet>(&watching, namespace, ours()).touched_objects();
    let pods = changes::<Pod>(&watching, namespace, pods).touched_objects();
    let services = changes::<Service>(&watching, namespace, ours()).touched_objects();
    let records = changes::<ConfigMap>(&watching, namespace, ours()).touched_objects();
    let vitals = context.vitals.clone();
    vitals.watches.reset();
    Controller::for_stream(clusters, reader)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .watches_stream(sets, |set| instance(&set))
        .watches_stream(pods, |pod| instance(&pod))
        .watches_stream(services, move |service| dependent_changed(&for_services, &service))
        .watches_stream(records, move |record| dependent_changed(&for_records, &record))
        .trigger_backoff(Pause)
        .graceful_shutdown_on(stop)
        .run(timed, retry, context)
        .for_each(|result| async {
            match result {
                Ok(_) => {}
                // Pods of a cluster that works without an EtcdCluster.
                Err(ControllerError::ObjectNotFound(_)) => {}
                // Reported by `timed`, with its cluster.
                Err(ControllerError::ReconcilerFailed(..)) => {}
                Err(error) => {
                    tracing::warn!(%error, "a watch failed and starts again");
                    vitals.watches.failed(error.to_string(), Instant::now());
                }
            }
        })
        .await;
}

/// The changes of a kind of objects, without what nothing here reads: an operator of ten thousand clusters keeps the
/// metadata of each.
fn changes<K>(
    client: &Client,
    namespace: Option<&str>,
    scope: watcher::Config,
) -> impl Stream<Item = Result<watcher::Event<PartialObjectMeta<K>>, watcher::Error>> + Send + use<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + 'static,
{
    let api: Api<PartialObjectMeta<K>> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    watcher(api, scope).modify(|object| {
        object.metadata.managed_fields = None;
        object.metadata.annotations = None;
    })
}

/// The cluster that an object belongs to.
fn instance(object: &impl ResourceExt) -> Option<ObjectRef<ClusterKey>> {
    let name = object.labels().get(INSTANCE)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

/// Notes that an object which the StatefulSet's pods need has changed; returns its cluster.
fn dependent_changed(context: &Context, object: &impl ResourceExt) -> Option<ObjectRef<ClusterKey>> {
    let cluster = instance(object)?;
    context.dependents.note_change(&format!(
        "{}/{}",
        cluster.namespace.as_deref().unwrap_or_default(),
        cluster.name
    ));
    Some(cluster)
}

async fn timed(cluster: Arc<ClusterKey>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let started = Instant::now();
    let result = tokio::time::timeout(DEADLINE, reconcile(&cluster, &context)).await;
    let result = result.unwrap_or(Err(ReconcileError::Deadline(DEADLINE)));
    let name = named(&*cluster);
    let label = match &result {
        Ok(_) => {
            context.failures.succeeded(&name);
            "ok"
        }
        Err(error) if error.is_conflict() => {
            tracing::debug!(cluster = name, %error, "somebody else was quicker");
            error.category()
        }
        Err(error) => {
            tracing::warn!(cluster = name, %error, "reconciliation failed");
            error.category()
        }
    };
    context.vitals.metrics.reconciled(label, started.elapsed());
    result
}

fn retry(cluster: Arc<ClusterKey>, error: &ReconcileError, context: Arc<Context>) -> Action {
    Action::requeue(context.failures.failed(&named(&*cluster), error, rand::random()))
}
