//! Removal of what seats that were scaled away have left behind. Client required.

use futures::TryFutureExt;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::DynamicObject;
use kube::{Api, Resource, ResourceExt};
use muster_api::cluster::EtcdCluster;
use muster_api::names::agent_manager;
use muster_api::status::SeatStatus;
use serde_json::json;

use super::{Target, apply_status, exactly};
use crate::error::{ReconcileError, named};
use crate::plan::cleanup::CleanupPlan;
use crate::stored;

impl Target<'_> {
    /// Deletes volume claims that have not changed since they were read, and takes back status entries.
    ///
    /// # Errors
    /// A request failed; what comes after it was not removed.
    pub(crate) async fn clean_up(&self, observed: &EtcdCluster, plan: &CleanupPlan) -> Result<(), ReconcileError> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), self.namespace);
        for claim in &plan.claims {
            let what = format!("delete volume claim {}", claim.name);
            claims
                .delete(&claim.name, &exactly(&claim.uid, claim.resource_version.as_deref()))
                .await
                .map_err(ReconcileError::writing(what))?;
            tracing::info!(
                cluster = named(observed),
                claim = claim.name,
                "volume claim of a seat that left deleted"
            );
        }
        if plan.seats.is_empty() {
            return Ok(());
        }
        // The status was just written: only the newest version will do.
        let clusters = stored::clusters(self.client, self.namespace);
        let name = observed.name_any();
        let newest = clusters.get(&name);
        let mut cluster = newest.map_err(ReconcileError::reading("EtcdCluster")).await?;
        for seat in &plan.seats {
            cluster = self.drop_seat(&cluster, seat).await?;
        }
        Ok(())
    }

    /// Takes back what the agent of a pod that is gone has published, unless the
    /// EtcdCluster has changed meanwhile.
    async fn drop_seat(&self, cluster: &DynamicObject, seat: &SeatStatus) -> Result<DynamicObject, ReconcileError> {
        let patch = json!({
            "apiVersion": EtcdCluster::api_version(&()),
            "kind": "EtcdCluster",
            "metadata": { "resourceVersion": cluster.resource_version() },
            "status": { "seats": [] },
        });
        apply_status(self.client, cluster, &agent_manager(&seat.name), &patch)
            .await
            .map_err(ReconcileError::writing(format!("drop the status of {}", seat.name)))
    }
}
