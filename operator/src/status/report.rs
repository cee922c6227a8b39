//! Writes the operator's part of the status, and Events about what began. Client required.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use muster_api::cluster::EtcdCluster;
use muster_api::names::OPERATOR_MANAGER;
use muster_api::status::EtcdClusterStatus;
use serde_json::json;

use super::{Outcome, is_current, render, render_unreadable};
use crate::apply::apply_status;
use crate::context::Context;
use crate::dereference::ObservedCluster;
use crate::error::{ReconcileError, named};
use crate::events;
use crate::stored::Unreadable;

/// Writes the status if it says something new, and Events about conditions that began.
///
/// # Errors
/// The status could not be written.
pub(crate) async fn report(
    context: &Context,
    observed: &ObservedCluster,
    outcome: &Outcome<'_>,
) -> Result<(), ReconcileError> {
    let status = render(observed, outcome, &Time(Timestamp::now()));
    publish(context, &observed.cluster, status).await
}

/// Writes the status of an EtcdCluster that this release cannot read.
///
/// # Errors
/// The status could not be written.
pub(crate) async fn report_unreadable(context: &Context, unreadable: &Unreadable) -> Result<(), ReconcileError> {
    let status = render_unreadable(unreadable, &Time(Timestamp::now()));
    publish(context, &unreadable.cluster, status).await
}

async fn publish(context: &Context, cluster: &EtcdCluster, status: EtcdClusterStatus) -> Result<(), ReconcileError> {
    if is_current(cluster, &status) {
        return Ok(());
    }
    let patch = json!({ "apiVersion": EtcdCluster::api_version(&()), "kind": "EtcdCluster", "status": status });
    apply_status(&context.client, cluster, OPERATOR_MANAGER, &patch)
        .await
        .map_err(ReconcileError::writing("write the status"))?;
    let events = events::of_conditions(cluster, &status.conditions);
    for event in &events {
        tracing::info!(
            cluster = named(cluster),
            reason = event.reason,
            "{}",
            event.note.as_deref().unwrap_or_default()
        );
    }
    context.events.publish(cluster, &events).await;
    Ok(())
}
