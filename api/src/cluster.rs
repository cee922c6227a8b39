//! The `EtcdCluster` resource.
//!
//! The API server checks its rules (`rules.rs`), so that a spec which can never
//! work is refused with a sentence before it is stored. The comments on fields
//! are the texts of `kubectl explain`.
#![allow(unreachable_pub, reason = "KubeSchema repeats the types in a private scope")]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;
use crate::status::EtcdClusterStatus;

/// The desired state of an etcd cluster.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "etcd.etcd.io",
    version = "v1alpha1",
    kind = "EtcdCluster",
    plural = "etcdclusters",
    shortname = "etcd",
    category = "all",
    namespaced,
    doc = "An etcd cluster. The agent in each pod adds its member to the cluster and removes it again.",
    derive = "PartialEq",
    status = "EtcdClusterStatus",
    scale(
        spec_replicas_path = ".spec.size",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Size", type_ = "integer", json_path = ".spec.size", description = "Desired number of members"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas", description = "Number of pods that are ready"),
    printcolumn(name = "Leader", type_ = "string", json_path = ".status.leader", description = "Pod of the member that leads the cluster"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", description = "etcd version of the pod template"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.summary", description = "State of the cluster in one word, for example Ready, Growing or QuorumLost"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason", description = "Cause of what is out of order in one word, for example Unschedulable; empty while nothing is"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Time since the EtcdCluster was created"),
    validation = rules::name()
)]
#[x_kube(validation = rules::no_tls(), validation = rules::one_image())]
#[serde(rename_all = "camelCase")]
pub struct EtcdClusterSpec {
    /// Desired number of members, from 0 to 9. Prefer an odd number: an even
    /// number of members tolerates no more failures than the odd number below
    /// it. 0 hibernates the cluster: all pods end, no member is removed, and
    /// all data stays on its volumes.
    #[x_kube(validation = rules::size())]
    pub size: i32,

    /// etcd version, with or without a leading v, for example 3.6.16. An
    /// upgrade moves up one minor version at a time; a downgrade to an earlier
    /// minor version is refused, also after the EtcdCluster or its StatefulSet
    /// was made again. Default: the version that wrote the cluster's data; for
    /// a new cluster, the default of this release of the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::version_form(), validation = rules::version_range())]
    pub version: Option<String>,

    /// Repository of the etcd image. The tag is the version with a leading v.
    /// Default: gcr.io/etcd-development/etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub repository: Option<String>,

    /// Complete reference of the etcd image, in place of repository and tag.
    /// Set version to the etcd version that the image contains: the condition
    /// VersionMismatch tells if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// Storage of the members' data. It cannot change between volume claims
    /// and ephemeral storage after the cluster was created.
    #[serde(default)]
    pub storage: Storage,

    /// Resource requests and limits of the etcd container. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,

    /// Settings of the agent that runs beside etcd in each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentSettings>,

    /// Placement of the pods on nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling: Option<Scheduling>,

    /// Additional etcd flags, each written as --flag or --flag=value. Flags
    /// for names, addresses, membership, certificates and the log belong to
    /// Muster and are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    #[x_kube(validation = rules::option_form(), validation = rules::option_owner())]
    pub etcd_options: Vec<String>,

    /// Labels and annotations to add to the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,

    /// TLS for clients and peers. Not supported yet: an EtcdCluster with this
    /// field is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub tls: Option<BTreeMap<String, serde_json::Value>>,
}

/// Settings of the agent that runs beside etcd in each pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentSettings {
    /// Resource requests and limits of the agent container. Default: requests
    /// of 10m CPU and 24Mi memory, limits of 500m CPU and 128Mi memory. A
    /// ResourceQuota with limits also asks for spec.resources.limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
}

/// Storage of the members' data: a persistent volume claim for each seat (pod
/// ordinal), or, with ephemeral, an emptyDir volume in each pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = rules::ephemeral_without_claim(),
    validation = rules::same_kind_of_storage(),
    validation = rules::same_volume_size(),
    validation = rules::same_storage_class()
)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of each volume, as a Kubernetes quantity. It cannot change after
    /// the cluster was created. Default: 8Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")
    )]
    pub size: Option<String>,

    /// Storage class of the volumes. It cannot change after the cluster was
    /// created. Default: the default class of the Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// Retention policy for all volumes when the EtcdCluster is deleted. With
    /// Retain, a new EtcdCluster of the same name resumes the cluster from
    /// them. Default: Retain.
    #[serde(default)]
    pub retention: Retention,

    /// Retention policy for the volume of a seat (pod ordinal) that was scaled
    /// away. With Delete, it is deleted once the member has left and the pod is
    /// gone. Default: Retain.
    #[serde(default)]
    pub when_scaled: Retention,

    /// Data in the pods, without volume claims. A pod that is deleted loses
    /// its copy, and its seat joins as a new member; a cluster that loses
    /// every pod loses all data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<Ephemeral>,
}

/// Storage in an emptyDir volume, which is deleted with its pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ephemeral {
    /// Size limit of the emptyDir volume, as a Kubernetes quantity; the kubelet
    /// evicts a pod that exceeds it. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")
    )]
    pub size_limit: Option<String>,
}

/// Retention policy for volumes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Retention {
    /// The volumes stay.
    #[default]
    Retain,
    /// The volumes are deleted.
    Delete,
}

/// Placement of the pods on nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scheduling {
    /// Labels that a node must have to run a pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pods. Default: each pod prefers a zone without another
    /// pod of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Topology spread constraints of the pods. Default: pods spread over nodes
    /// where possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Name of the pods' PriorityClass. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
}

/// Additions to the pods of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels and annotations to add to the pods.
    #[serde(default)]
    pub metadata: PodMetadata,
}

/// Labels and annotations to add to the pods.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodMetadata {
    /// Labels to add. Labels that belong to Muster or to Kubernetes are
    /// refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations to add.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl EtcdClusterSpec {
    /// A spec of that size with a default for every other field.
    pub fn of_size(size: i32) -> Self {
        Self {
            size,
            version: None,
            repository: None,
            image: None,
            storage: Storage::default(),
            resources: None,
            agent: None,
            scheduling: None,
            etcd_options: Vec::new(),
            pod_template: None,
            tls: None,
        }
    }
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
