//! Writes what was built. Client required.
//!
//! [`Prepared`] becomes [`Applied`] only by being applied, and a status of a
//! healthy reconciliation can only be rendered from what was applied.

use std::fmt::Debug;

use futures::TryFutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use muster_api::birth::key;
use muster_api::cluster::EtcdCluster;
use muster_api::names::OPERATOR_MANAGER;
use muster_api::workload::{SHRINK, SHRINK_GENERATION};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::build::Dependents;
use crate::build::prepared::{Prepared, RecordWrite, SetWrite};
use crate::error::ReconcileError;
use crate::ownership;
use crate::stored;

mod claims;
mod cleanup;
pub(crate) mod evict;
#[cfg(test)]
mod tests;

/// The objects as they are now.
#[derive(Debug)]
pub(crate) struct Applied {
    set: StatefulSet,
    written: bool,
}

impl Applied {
    /// The StatefulSet as the API server has it.
    pub(crate) fn set(&self) -> &StatefulSet {
        &self.set
    }

    /// True if the StatefulSet was written.
    pub(crate) fn written(&self) -> bool {
        self.written
    }
}

/// The place where objects are written, and the EtcdCluster on whose behalf.
#[derive(Clone)]
pub(crate) struct Target<'a> {
    pub(crate) client: &'a Client,
    pub(crate) namespace: &'a str,
    /// The UID of the EtcdCluster.
    pub(crate) owner_uid: &'a str,
}

impl Target<'_> {
    /// Writes everything, in the order in which pods will need it.
    ///
    /// # Errors
    /// An object of one of the names belongs to somebody else, or a request failed.
    pub(crate) async fn apply(&self, prepared: Prepared) -> Result<Applied, ReconcileError> {
        if let Some(objects) = &prepared.dependents {
            self.apply_dependents(objects).await?;
        }
        self.write_record(prepared.record).await?;
        match prepared.set {
            SetWrite::Keep(set) => Ok(Applied {
                set: *set,
                written: false,
            }),
            SetWrite::Apply(set) => Ok(Applied {
                set: self.apply_set(&set).await?,
                written: true,
            }),
        }
    }

    /// Applies the StatefulSet, and withdraws a shrink that is not wanted. Applying removes only what the
    /// operator itself has applied, and seats leave whoever announced it.
    async fn apply_set(&self, wanted: &StatefulSet) -> Result<StatefulSet, ReconcileError> {
        let set = self.server_side_apply(wanted).await?;
        if wanted.annotations().contains_key(SHRINK) || !set.annotations().contains_key(SHRINK) {
            return Ok(set);
        }
        let patch = json!({
            "metadata": { "resourceVersion": set.resource_version(), "annotations": { SHRINK: null, SHRINK_GENERATION: null } },
        });
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), self.namespace);
        let what = format!("withdraw the shrink of StatefulSet {}", set.name_any());
        sets.patch(&set.name_any(), &merging(), &Patch::Merge(patch))
            .map_err(ReconcileError::writing(what))
            .await
    }

    /// Gives the EtcdCluster the size that somebody gave its StatefulSet.
    pub(crate) async fn adopt(&self, cluster: &EtcdCluster, size: u32) -> Result<(), ReconcileError> {
        let patch = json!({
            "metadata": { "resourceVersion": cluster.resource_version() },
            "spec": { "size": size },
        });
        let clusters = stored::clusters(self.client, self.namespace);
        let what = format!("set the size of EtcdCluster {} to {size}", cluster.name_any());
        clusters
            .patch(&cluster.name_any(), &merging(), &Patch::Merge(patch))
            .map_err(ReconcileError::writing(what))
            .await?;
        Ok(())
    }

    async fn write_record(&self, write: RecordWrite) -> Result<(), ReconcileError> {
        let records: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace);
        match write {
            RecordWrite::None => Ok(()),
            RecordWrite::Create(record) => {
                let parameters = PostParams {
                    field_manager: Some(OPERATOR_MANAGER.into()),
                    ..PostParams::default()
                };
                let what = format!("create ConfigMap {}", record.name_any());
                records
                    .create(&parameters, &record)
                    .map_err(ReconcileError::writing(what))
                    .await?;
                Ok(())
            }
            RecordWrite::Claim { read, wanted, written } => {
                let owners = wanted.owner_references();
                let mut patch = json!({
                    "metadata": { "resourceVersion": read, "ownerReferences": owners },
                    "data": { key::OWNER: self.owner_uid },
                });
                if let Some(written) = written {
                    patch["data"][key::VERSION] = written.into();
                }
                let what = format!("take over ConfigMap {}", wanted.name_any());
                self.patch_record(&wanted.name_any(), patch, what).await
            }
            RecordWrite::Note { read, name, written } => {
                let patch = json!({
                    "metadata": { "resourceVersion": read },
                    "data": { key::VERSION: written },
                });
                let what = format!("note etcd's version in ConfigMap {name}");
                self.patch_record(&name, patch, what).await
            }
        }
    }

    async fn patch_record(&self, name: &str, patch: serde_json::Value, what: String) -> Result<(), ReconcileError> {
        let records: Api<ConfigMap> = Api::namespaced(self.client.clone(), self.namespace);
        records
            .patch(name, &merging(), &Patch::Merge(patch))
            .map_err(ReconcileError::writing(what))
            .await?;
        Ok(())
    }

    /// Applies the dependents, or nothing if anything of those names belongs to
    /// somebody else.
    async fn apply_dependents(&self, objects: &Dependents) -> Result<(), ReconcileError> {
        futures::try_join!(
            self.check(&objects.account),
            self.check(&objects.role),
            self.check(&objects.binding),
            self.check(&objects.peers),
            self.check(&objects.clients),
            self.check(&objects.budget),
        )?;
        futures::try_join!(
            self.server_side_apply(&objects.account),
            self.server_side_apply(&objects.role),
            self.server_side_apply(&objects.peers),
            self.server_side_apply(&objects.clients),
            self.server_side_apply(&objects.budget),
        )?;
        // Kubernetes looks the role up before it binds it.
        self.server_side_apply(&objects.binding).await?;
        Ok(())
    }

    /// Refuses a name that an object of somebody else has.
    async fn check<K>(&self, object: &K) -> Result<(), ReconcileError>
    where
        K: k8s_openapi::Resource
            + Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let existing = api.get_metadata_opt(&object.name_any()).await;
        match existing.map_err(ReconcileError::reading(K::KIND))? {
            Some(existing) => Ok(ownership::check(K::KIND, &existing.metadata, self.owner_uid)?),
            None => Ok(()),
        }
    }

    async fn server_side_apply<K>(&self, object: &K) -> Result<K, ReconcileError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let name = object.name_any();
        let what = format!("apply {} {name}", K::kind(&()));
        api.patch(
            &name,
            &PatchParams::apply(OPERATOR_MANAGER).force(),
            &Patch::Apply(object),
        )
        .map_err(ReconcileError::writing(what))
        .await
    }
}

/// Server-side apply of one writer's part of an EtcdCluster's status.
pub(crate) async fn apply_status(
    client: &Client,
    cluster: &impl ResourceExt,
    manager: &str,
    patch: &serde_json::Value,
) -> kube::Result<DynamicObject> {
    let namespace = cluster.namespace().unwrap_or_default();
    let api = stored::clusters(client, &namespace);
    api.patch_status(
        &cluster.name_any(),
        &PatchParams::apply(manager).force(),
        &Patch::Apply(patch),
    )
    .await
}

/// The parameters of a merge patch in the operator's name.
fn merging() -> PatchParams {
    PatchParams {
        field_manager: Some(OPERATOR_MANAGER.into()),
        ..PatchParams::default()
    }
}

/// The condition that only the object of that UID is deleted, and with a resource version only while it has that.
fn exactly(uid: &str, resource_version: Option<&str>) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: resource_version.map(str::to_owned),
        }),
        ..DeleteParams::default()
    }
}
