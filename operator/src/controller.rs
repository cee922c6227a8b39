//! The watches: changes that lead to a reconciliation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Future, StreamExt};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::runtime::controller::{Action, Error as ControllerError};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::utils::Backoff;
use kube::runtime::{Controller, watcher};
use kube::{Api, Resource, ResourceExt};
use muster_api::cluster::EtcdCluster;

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

/// Reconciles until `stop`, and then finishes what has begun.
pub(crate) async fn run(
    context: Arc<Context>,
    namespace: Option<&str>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let ours = || watcher::Config::default().labels("app.kubernetes.io/managed-by=muster");
    let pods =
        watcher::Config::default().labels("app.kubernetes.io/managed-by=muster,app.kubernetes.io/component=member");
    let (for_services, for_records) = (context.clone(), context.clone());
    Controller::new(api::<EtcdCluster>(&context, namespace), watcher::Config::default())
        .watches(api::<StatefulSet>(&context, namespace), ours(), |set| instance(&set))
        .watches(api::<Pod>(&context, namespace), pods, |pod| instance(&pod))
        .watches(api::<Service>(&context, namespace), ours(), move |service| {
            dependent_changed(&for_services, &service)
        })
        .watches(api::<ConfigMap>(&context, namespace), ours(), move |record| {
            dependent_changed(&for_records, &record)
        })
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
                Err(error) => tracing::warn!(%error, "a watch failed and starts again"),
            }
        })
        .await;
}

fn api<K>(context: &Context, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(context.client.clone(), namespace),
        None => Api::all(context.client.clone()),
    }
}

/// The cluster that an object belongs to.
fn instance(object: &impl ResourceExt) -> Option<ObjectRef<EtcdCluster>> {
    let name = object.labels().get(INSTANCE)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

/// Notes that an object which the StatefulSet's pods need has changed; returns its cluster.
fn dependent_changed(context: &Context, object: &impl ResourceExt) -> Option<ObjectRef<EtcdCluster>> {
    let cluster = instance(object)?;
    context.dependents.note_change(&format!(
        "{}/{}",
        cluster.namespace.as_deref().unwrap_or_default(),
        cluster.name
    ));
    Some(cluster)
}

async fn timed(cluster: Arc<EtcdCluster>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let started = Instant::now();
    let result = reconcile(&cluster, &context).await;
    let name = named(&cluster);
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

fn retry(cluster: Arc<EtcdCluster>, error: &ReconcileError, context: Arc<Context>) -> Action {
    Action::requeue(context.failures.failed(&named(&cluster), error, rand::random()))
}
