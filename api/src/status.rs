//! The status of an `EtcdCluster`. Three kinds of writers share it, each with
//! its own fields and its own field manager: the operator, the agent beside
//! etcd's leader (membership), and every agent (its own seat).
#![allow(unreachable_pub, reason = "KubeSchema repeats the types in a private scope")]

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::HexId;

/// The observed state of an etcd cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EtcdClusterStatus {
    /// Generation of the spec that the operator has acted on last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// State of the cluster in one word: Ready, Creating, Growing, Joining,
    /// Leaving, Shrinking, ShrinkWaiting, Updating, Degraded, QuorumLost,
    /// Rescuing, Hibernating, Hibernated, Waking, Lost, Waiting, Blocked,
    /// Refused or Invalid. The conditions have the details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Cause of what is out of order, in one CamelCase word of a fixed list
    /// (docs/operations.md), for example Unschedulable or ImagePullBackOff;
    /// absent while nothing is. The condition Degraded or Stalled has the
    /// sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Conditions of the cluster: Ready, Progressing, Degraded, QuorumLost, and
    /// where they apply Stalled, EvenSize, SharedNode, VersionAdvisory and
    /// VersionMismatch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Number of pods that exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Number of pods that are ready, without pods that are being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Label selector of the cluster's pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// etcd version of the spec that was applied last. Pods that wait for their
    /// replacement still run the version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// ID of the etcd cluster, in hexadecimal digits. The agent beside the
    /// leader publishes it.
    #[serde(default, rename = "clusterID", skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<HexId>,
    /// Name of the pod whose member leads the cluster. The agent beside the
    /// leader publishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// Member list of etcd. The agent beside the leader publishes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub members: Vec<MemberStatus>,
    /// Question of the operator that members answers: the list was read from
    /// etcd after the operator had asked. The agent that publishes members
    /// publishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members_confirmed: Option<String>,
    /// State of each seat (pod ordinal). Each seat's own agent publishes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub seats: Vec<SeatStatus>,
}

/// An entry of etcd's member list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// ID of the member, in hexadecimal digits.
    pub id: HexId,
    /// Name of the member, which is the name of its pod; empty until the member
    /// has started.
    #[serde(default)]
    pub name: String,
    /// URL under which the other members reach the member.
    #[serde(rename = "peerURL")]
    pub peer_url: String,
    /// Role of the member: a Voter counts for the quorum, a Learner does not.
    /// Other values are of another release.
    #[schemars(with = "String")]
    pub role: Role,
    /// True if the member has started at least once.
    pub started: bool,
}

/// Role of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// The member votes and counts for the quorum.
    Voter,
    /// The member receives the log and does not vote.
    Learner,
    /// The member has a role that a later release knows.
    #[serde(other)]
    Unknown,
}

/// State of a seat (pod ordinal), as its agent publishes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatStatus {
    /// Name of the seat's pod.
    pub name: String,
    /// Phase of the seat: Waiting, Founding, Joining, Learner, Voter, Leaving,
    /// Left, Refused or Lost. Other values are of another release.
    #[schemars(with = "String")]
    pub phase: SeatPhase,
    /// Reason for the phase, in one CamelCase word of a fixed list
    /// (docs/operations.md). Empty or unknown with an agent of another release.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Reason for the phase, in one sentence.
    #[serde(default)]
    pub why: String,
    /// ID of the seat's member, in hexadecimal digits; absent while the seat has
    /// none.
    #[serde(default, rename = "memberID", skip_serializing_if = "Option::is_none")]
    pub member_id: Option<HexId>,
    /// The quorum as the seat's own member sees it: Ok if it answers
    /// linearizable reads, Lost if it runs and does not, Unknown otherwise.
    #[serde(default)]
    #[schemars(with = "String")]
    pub quorum: Quorum,
    /// Number of voters in the member list that the seat read last; 0 if it has
    /// read none.
    #[serde(default)]
    pub voters: i32,
    /// etcd version that the seat's member runs, in etcd's own words; absent
    /// until etcd has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Phase of a seat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SeatPhase {
    /// The seat cannot act yet.
    Waiting,
    /// The seat starts the cluster as its first member.
    Founding,
    /// The seat is being added to the cluster.
    Joining,
    /// The seat's member receives the log and does not vote yet.
    Learner,
    /// The seat's member votes.
    Voter,
    /// The seat's member is being removed from the cluster.
    Leaving,
    /// The seat's member is removed from the cluster.
    Left,
    /// The seat's volume holds data that must not start here.
    Refused,
    /// No volume of the wanted seats holds the cluster's data.
    Lost,
    /// The seat is in a phase that a later release knows, or says none.
    #[default]
    #[serde(other)]
    Unknown,
}

impl SeatPhase {
    /// The phase's name, as the status has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Founding => "Founding",
            Self::Joining => "Joining",
            Self::Learner => "Learner",
            Self::Voter => "Voter",
            Self::Leaving => "Leaving",
            Self::Left => "Left",
            Self::Refused => "Refused",
            Self::Lost => "Lost",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for SeatPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The quorum as a seat sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Quorum {
    /// The seat's member answers linearizable reads.
    Ok,
    /// The seat's member runs and answers no linearizable read.
    Lost,
    /// The seat cannot say, or says something that a later release knows.
    #[default]
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_shown_as_the_status_has_it() {
        for phase in [
            SeatPhase::Waiting,
            SeatPhase::Founding,
            SeatPhase::Joining,
            SeatPhase::Learner,
            SeatPhase::Voter,
            SeatPhase::Leaving,
            SeatPhase::Left,
            SeatPhase::Refused,
            SeatPhase::Lost,
            SeatPhase::Unknown,
        ] {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.to_string());
        }
    }

    #[test]
    fn words_of_a_later_release_are_read_and_cost_nothing_else() {
        let member = serde_json::json!({
            "id": "00000000000000aa", "peerURL": "http://db-0", "role": "Voter", "started": true,
        });
        let seat = serde_json::json!({
            "name": "db-0", "phase": "Voter", "quorum": "Ok", "memberID": "00000000000000aa", "reason": "Serving",
        });
        let status = serde_json::json!({ "leader": "db-1", "summary": "Ready", "members": [member], "seats": [seat] });
        let read = |status: &serde_json::Value| serde_json::from_value::<EtcdClusterStatus>(status.clone()).unwrap();
        type Change = fn(&mut EtcdClusterStatus);
        let later: [(&str, serde_json::Value, Change); 9] = [
            ("/summary", "Resting".into(), |status| {
                status.summary = Some("Resting".into())
            }),
            ("/backup", serde_json::json!({}), |_| ()),
            ("/members/0/role", "Witness".into(), |status| {
                status.members[0].role = Role::Unknown
            }),
            ("/members/0/weight", 2.into(), |_| ()),
            ("/seats/0/phase", "Restoring".into(), |status| {
                status.seats[0].phase = SeatPhase::Unknown
            }),
            ("/seats/0/quorum", "Shaky".into(), |status| {
                status.seats[0].quorum = Quorum::Unknown
            }),
            // A word that this release's table of reasons does not have stays as it is, for people to read.
            ("/seats/0/reason", "Restoring".into(), |status| {
                status.seats[0].reason = "Restoring".into()
            }),
            ("/seats/0/reason", "".into(), |status| {
                status.seats[0].reason = String::new()
            }),
            ("/seats/0/progress", 7.into(), |_| ()),
        ];
        for (path, value, change) in later {
            let mut stored = status.clone();
            let (parent, key) = path.rsplit_once('/').unwrap();
            stored.pointer_mut(parent).unwrap()[key] = value;
            let mut expected = read(&status);
            change(&mut expected);
            assert_eq!(read(&stored), expected, "{path}");
        }
    }
}
