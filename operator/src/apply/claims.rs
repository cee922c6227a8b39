//! Marks and owners of volume claims. Client required.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::Patch;
use muster_api::names::CLAIM_CLUSTER;
use serde_json::{Value, json};

use super::{Target, merging};
use crate::error::ReconcileError;
use crate::plan::claims::ClaimUpdate;

impl Target<'_> {
    /// Writes the marks and owners of claims, unless a claim has changed since it was read.
    ///
    /// # Errors
    /// A request failed; the claims after it were not written.
    pub(crate) async fn mark_claims(&self, updates: &[ClaimUpdate]) -> Result<(), ReconcileError> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), self.namespace);
        for update in updates {
            let patch = Patch::Merge(patch(update));
            let written = claims.patch_metadata(&update.name, &merging(), &patch).await;
            written.map_err(ReconcileError::writing(format!("mark volume claim {}", update.name)))?;
        }
        Ok(())
    }
}

/// The merge patch of a claim's metadata.
fn patch(update: &ClaimUpdate) -> Value {
    let mut metadata = json!({
        "resourceVersion": update.resource_version,
        "ownerReferences": update.owners,
    });
    if let Some(id) = update.used_by {
        metadata["annotations"] = json!({ CLAIM_CLUSTER: id });
    }
    if !update.labels.is_empty() {
        metadata["labels"] = json!(update.labels);
    }
    json!({ "metadata": metadata })
}

#[cfg(test)]
mod tests {
    use muster_api::id::HexId;

    use super::*;

    #[test]
    fn a_patch_names_the_version_and_all_owners_and_only_what_is_new() {
        let bare = ClaimUpdate {
            name: "data-db-0".into(),
            resource_version: Some("5".into()),
            owners: vec![],
            used_by: None,
            labels: Default::default(),
        };
        let expected = json!({ "metadata": { "resourceVersion": "5", "ownerReferences": [] } });
        assert_eq!(patch(&bare), expected);
        let marked = ClaimUpdate {
            used_by: Some(HexId(0xab)),
            ..bare
        };
        let annotations = &patch(&marked)["metadata"]["annotations"];
        assert_eq!(annotations, &json!({ CLAIM_CLUSTER: "00000000000000ab" }));
    }
}
