//! Writes what was built.
//!
//! [`Prepared`] becomes [`Applied`] only by being applied, and a status of a
//! healthy reconciliation can only be rendered from what was applied.

use std::fmt::Debug;

use futures::TryFutureExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use muster_api::birth::key;
use muster_api::cluster::EtcdCluster;
use muster_api::names::OPERATOR_MANAGER;
use muster_api::workload::SHRINK;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::build::Surroundings;
use crate::error::Error;
use crate::ownership;

/// What a reconciliation wants to be there.
#[derive(Debug)]
pub struct Prepared {
    /// What surrounds the StatefulSet; none if it is known to be there.
    pub surroundings: Option<Surroundings>,
    /// What to do about the birth record.
    pub record: RecordWrite,
    /// The StatefulSet to write.
    pub set: SetWrite,
}

/// What to do about the birth record.
#[derive(Debug)]
pub enum RecordWrite {
    /// Nothing.
    None,
    /// Create it, unless somebody else just did.
    Create(ConfigMap),
    /// Make it this EtcdCluster's, if it has not changed since.
    Claim {
        /// The version that was read.
        version: Option<String>,
        /// Whom it is to belong to.
        wanted: ConfigMap,
    },
}

/// What to do about the StatefulSet.
#[derive(Debug)]
pub enum SetWrite {
    /// It is as it should be.
    Keep(Box<StatefulSet>),
    /// Apply it, if it has not changed since it was read.
    Apply(Box<StatefulSet>),
}

/// What is there now.
#[derive(Debug)]
pub struct Applied {
    set: StatefulSet,
    written: bool,
}

impl Applied {
    /// The StatefulSet as the API server has it.
    pub fn set(&self) -> &StatefulSet {
        &self.set
    }

    /// Whether the StatefulSet was written.
    pub fn written(&self) -> bool {
        self.written
    }
}

/// Where objects are written, and on whose behalf.
#[derive(Clone)]
pub struct Target<'a> {
    /// The API server.
    pub client: &'a Client,
    /// The namespace.
    pub namespace: &'a str,
    /// The UID of the EtcdCluster.
    pub owner_uid: &'a str,
}

impl Target<'_> {
    /// Writes everything, in the order in which pods will need it.
    pub async fn apply(&self, prepared: Prepared) -> Result<Applied, Error> {
        if let Some(objects) = &prepared.surroundings {
            self.surround(objects).await?;
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
    async fn apply_set(&self, wanted: &StatefulSet) -> Result<StatefulSet, Error> {
        let set = self.server_side_apply(wanted).await?;
        if wanted.annotations().contains_key(SHRINK) || !set.annotations().contains_key(SHRINK) {
            return Ok(set);
        }
        let patch = json!({
            "metadata": { "resourceVersion": set.resource_version(), "annotations": { SHRINK: null } },
        });
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), self.namespace);
        let what = format!("withdraw the shrink of StatefulSet {}", set.name_any());
        let parameters = PatchParams {
            field_manager: Some(OPERATOR_MANAGER.into()),
            ..PatchParams::default()
        };
        sets.patch(&set.name_any(), &parameters, &Patch::Merge(patch))
            .map_err(Error::writing(what))
            .await
    }

    /// Gives the EtcdCluster the size that somebody gave its StatefulSet.
    pub async fn adopt(&self, cluster: &EtcdCluster, size: u32) -> Result<(), Error> {
        let patch = json!({
            "metadata": { "resourceVersion": cluster.resource_version() },
            "spec": { "size": size },
        });
        let clusters: Api<EtcdCluster> = Api::namespaced(self.client.clone(), self.namespace);
        let what = format!("set the size of EtcdCluster {} to {size}", cluster.name_any());
        let parameters = PatchParams {
            field_manager: Some(OPERATOR_MANAGER.into()),
            ..PatchParams::default()
        };
        clusters
            .patch(&cluster.name_any(), &parameters, &Patch::Merge(patch))
            .map_err(Error::writing(what))
            .await?;
        Ok(())
    }

    async fn write_record(&self, write: RecordWrite) -> Result<(), Error> {
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
                    .map_err(Error::writing(what))
                    .await?;
                Ok(())
            }
            RecordWrite::Claim {
                version,
                wanted: record,
            } => {
                let owners = record.owner_references();
                let patch = json!({
                    "metadata": { "resourceVersion": version, "ownerReferences": owners },
                    "data": { key::OWNER: self.owner_uid },
                });
                let what = format!("take over ConfigMap {}", record.name_any());
                let parameters = PatchParams {
                    field_manager: Some(OPERATOR_MANAGER.into()),
                    ..PatchParams::default()
                };
                records
                    .patch(&record.name_any(), &parameters, &Patch::Merge(patch))
                    .map_err(Error::writing(what))
                    .await?;
                Ok(())
            }
        }
    }

    /// Applies what surrounds the StatefulSet, or nothing if anything of those
    /// names belongs to somebody else.
    async fn surround(&self, objects: &Surroundings) -> Result<(), Error> {
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
    async fn check<K>(&self, object: &K) -> Result<(), Error>
    where
        K: k8s_openapi::Resource
            + Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), self.namespace);
        let existing = api.get_metadata_opt(&object.name_any()).await;
        match existing.map_err(Error::reading(K::KIND))? {
            Some(existing) => Ok(ownership::check(K::KIND, &existing.metadata, self.owner_uid)?),
            None => Ok(()),
        }
    }

    async fn server_side_apply<K>(&self, object: &K) -> Result<K, Error>
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
        .map_err(Error::writing(what))
        .await
    }
}

#[cfg(test)]
mod tests {
    use hyper::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::Value;

    use super::*;

    fn set(shrink: Option<&str>) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": { "name": "db", "namespace": "ns", "resourceVersion": "7",
                "annotations": shrink.map(|shrink| json!({ SHRINK: shrink })) },
            "spec": { "replicas": 3, "selector": {}, "serviceName": "db-peer", "template": {} },
        })
    }

    /// Applies a set to an API server that has this one; returns what was sent after the first request.
    async fn sent_after_applying(wanted: Value, live: Value) -> Option<Value> {
        let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "ns");
        let target = Target {
            client: &client,
            namespace: "ns",
            owner_uid: "u",
        };
        let wanted: StatefulSet = serde_json::from_value(wanted).unwrap();
        let answering = async {
            let (_, send) = server.next_request().await.unwrap();
            send.send_response(Response::new(Body::from(live.to_string().into_bytes())));
            let (request, send) = server.next_request().await?;
            assert_eq!(request.method(), Method::PATCH);
            let body = request.into_body().collect_bytes().await.unwrap();
            send.send_response(Response::new(Body::from(set(None).to_string().into_bytes())));
            Some(serde_json::from_slice(&body).unwrap())
        };
        tokio::select! {
            sent = answering => sent,
            applied = target.apply_set(&wanted) => applied.map(|_| None).unwrap(),
        }
    }

    #[tokio::test]
    async fn a_shrink_that_somebody_else_announced_is_withdrawn() {
        let sent = sent_after_applying(set(None), set(Some("3->1"))).await.unwrap();
        assert_eq!(sent["metadata"]["annotations"], json!({ SHRINK: null }));
        assert_eq!(sent["metadata"]["resourceVersion"], "7");
    }

    #[tokio::test]
    async fn a_shrink_that_is_wanted_stays() {
        let shrinking = || set(Some("3->1"));
        assert_eq!(sent_after_applying(shrinking(), shrinking()).await, None);
        assert_eq!(sent_after_applying(set(None), set(None)).await, None);
    }
}
