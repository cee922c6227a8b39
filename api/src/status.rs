//! The status of an `EtcdCluster`. Three kinds of writers share it, each with
//! its own fields and its own field manager: the operator, the agent beside
//! etcd's leader (membership), and every agent (its own seat).
#![allow(unreachable_pub, reason = "KubeSchema repeats the types in a private scope")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::HexId;

/// What is known of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EtcdClusterStatus {
    /// The generation of the spec that the operator has acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word, or a few, on how the cluster is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The state of the cluster in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Pods that exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Pods that are ready. Never more than exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Selects the cluster's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The etcd version that the pods are to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The ID of the etcd cluster, published by the leader's agent.
    #[serde(default, rename = "clusterID", skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<HexId>,
    /// The pod of etcd's leader, published by its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// etcd's member list, published by the leader's agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub members: Vec<MemberStatus>,
    /// What each seat's agent says of itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub seats: Vec<SeatStatus>,
}

/// An entry of etcd's member list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// The member's ID.
    pub id: HexId,
    /// The member's name; empty until it has started.
    #[serde(default)]
    pub name: String,
    /// The member's peer URL.
    #[serde(rename = "peerURL")]
    pub peer_url: String,
    /// Whether the member votes.
    pub role: Role,
    /// Whether the member has ever started.
    pub started: bool,
}

/// Whether a member votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// It counts for the quorum.
    Voter,
    /// It receives the log and does not count.
    Learner,
}

/// What a seat's agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatStatus {
    /// The seat's pod.
    pub name: String,
    /// What the seat is doing.
    pub phase: SeatPhase,
    /// Why, in one word for machines; see the reasons in the documentation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, in one sentence for people.
    #[serde(default)]
    pub why: String,
    /// The ID of the seat's member.
    #[serde(default, rename = "memberID", skip_serializing_if = "Option::is_none")]
    pub member_id: Option<HexId>,
    /// Whether the seat sees a quorum.
    #[serde(default)]
    pub quorum: Quorum,
    /// How many voters are in the member list that this seat knows; 0 if it
    /// knows none.
    #[serde(default)]
    pub voters: i32,
}

/// What a seat is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SeatPhase {
    /// It cannot act yet.
    Waiting,
    /// It starts the cluster.
    Founding,
    /// It is being added to the cluster.
    Joining,
    /// Its member receives the log and does not vote yet.
    Learner,
    /// Its member votes.
    Voter,
    /// Its member is being removed.
    Leaving,
    /// Its member is gone from the cluster.
    Left,
    /// Its volume holds data that must not start here.
    Refused,
    /// Every volume of the cluster is gone.
    Lost,
}

/// Whether a seat sees a quorum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Quorum {
    /// The cluster answers linearizable reads.
    Ok,
    /// It does not.
    Lost,
    /// Not known.
    #[default]
    Unknown,
}
