//! The `EtcdCluster` resource.
//!
//! The rules in here are checked by the API server, so that what can never
//! work is refused with a sentence before it is stored.
#![allow(unreachable_pub, reason = "KubeSchema repeats the types in a private scope")]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::EtcdClusterStatus;
use crate::{rules, version};

/// The largest cluster. etcd's own advice is seven members at most.
pub const MAX_SIZE: i32 = 9;

/// The size of a volume whose spec names none. It is part of an immutable
/// template: clusters that exist rely on it.
pub const DEFAULT_VOLUME_SIZE: &str = "8Gi";

/// What an etcd cluster is to be.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "etcd.etcd.io",
    version = "v1alpha1",
    kind = "EtcdCluster",
    plural = "etcdclusters",
    shortname = "etcd",
    category = "all",
    namespaced,
    doc = "An etcd cluster. Its members decide from inside their pods when to join and to leave.",
    derive = "PartialEq",
    status = "EtcdClusterStatus",
    scale(
        spec_replicas_path = ".spec.size",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Size", type_ = "integer", json_path = ".spec.size", description = "Members asked for"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas", description = "Pods that are ready"),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.leader", description = "Pod of the leader"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", description = "etcd version"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.summary", description = "How the cluster is"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = rules::name()
)]
#[x_kube(validation = rules::no_tls(), validation = rules::one_image())]
#[serde(rename_all = "camelCase")]
pub struct EtcdClusterSpec {
    /// How many members the cluster has. Odd sizes are better: an even one
    /// tolerates no more failures than the odd one below it. 0 hibernates the
    /// cluster: no pods, and every member and all data kept.
    #[x_kube(validation = rules::size())]
    pub size: i32,

    /// The etcd version, with or without a leading v. It moves up one minor
    /// version at a time, and never down to an earlier minor version.
    #[serde(default = "default_version")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::version_form(), validation = rules::version_range())]
    pub version: String,

    /// The repository of the etcd image; its tag is the version with a leading
    /// v. Default: gcr.io/etcd-development/etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub repository: Option<String>,

    /// The complete reference of the etcd image, instead of repository and
    /// version. Version must still say which etcd it contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// Where the members keep their data.
    #[serde(default)]
    pub storage: Storage,

    /// Resources of the etcd container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// Where the pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling: Option<Scheduling>,

    /// Further etcd flags, each as --flag=value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    #[x_kube(validation = rules::option_form(), validation = rules::option_owner())]
    pub etcd_options: Vec<String>,

    /// Additions to the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,

    /// Reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub tls: Option<BTreeMap<String, serde_json::Value>>,
}

/// Where the members keep their data: a volume claim for each seat, or, with
/// `ephemeral`, the pod's own storage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = rules::ephemeral_without_claim(),
    validation = rules::same_kind_of_storage(),
    validation = rules::same_volume_size(),
    validation = rules::same_storage_class()
)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// The size of each volume. Default: 8Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")
    )]
    pub size: Option<String>,

    /// The storage class of the volumes. Default: the Kubernetes cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// What becomes of the volumes when the EtcdCluster is deleted. With
    /// Retain, an EtcdCluster of the same name takes them up again.
    #[serde(default)]
    pub retention: Retention,

    /// What becomes of the volume of a seat that was scaled away.
    #[serde(default)]
    pub when_scaled: Retention,

    /// Keep the data in the pods. A pod that is deleted loses its copy, and
    /// joins anew; a cluster that loses every pod loses all data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<Ephemeral>,
}

/// Storage that ends with its pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ephemeral {
    /// The largest amount of data; a pod that exceeds it is evicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")
    )]
    pub size_limit: Option<String>,
}

/// What becomes of volumes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Retention {
    /// They stay.
    #[default]
    Retain,
    /// They are deleted.
    Delete,
}

/// Where the pods run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scheduling {
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Affinities of the pods. Default: apart from each other's zones where
    /// possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How the pods spread. Default: over nodes where possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The pods' priority class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
}

/// Additions to the pods.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels and annotations of the pods.
    #[serde(default)]
    pub metadata: PodMetadata,
}

/// Labels and annotations of the pods.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodMetadata {
    /// Labels, beside Muster's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl EtcdClusterSpec {
    /// A spec that leaves everything but the size to its default.
    pub fn of_size(size: i32) -> Self {
        Self {
            size,
            version: default_version(),
            repository: None,
            image: None,
            storage: Storage::default(),
            resources: None,
            scheduling: None,
            etcd_options: Vec::new(),
            pod_template: None,
            tls: None,
        }
    }
}

fn default_version() -> String {
    version::DEFAULT.to_owned()
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
