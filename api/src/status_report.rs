//! The answer of an agent to `GET /status`.

use serde::{Deserialize, Serialize};

use crate::id::HexId;
use crate::status::{Quorum, SeatPhase};

/// An agent's view of its own seat.
///
/// Other agents decide by whose report it is, by `has_data`, `member_id` and `snapshot_bytes`. Everything else is for
/// people, and a report of another release counts without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's namespace; absent with an agent of an earlier release.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The seat's number.
    pub seat: u32,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    #[serde(rename = "podUID")]
    pub pod_uid: String,
    /// The UUID of the seat's volume.
    pub volume: String,
    /// True if the volume holds etcd's log, or has claimed to found the cluster.
    pub has_data: bool,
    /// The ID of the seat's member.
    #[serde(rename = "memberID")]
    pub member_id: Option<HexId>,
    /// The ID of the cluster that the seat belongs to.
    #[serde(rename = "clusterID")]
    pub cluster_id: Option<HexId>,
    /// Phase of the seat.
    #[serde(default)]
    pub phase: SeatPhase,
    /// Reason for the phase in one word: a [`Reason`](crate::Reason) of seats.
    #[serde(default)]
    pub reason: String,
    /// Reason for the phase in one sentence.
    #[serde(default)]
    pub why: String,
    /// Time at which the phase began, in the format of RFC 3339.
    #[serde(default)]
    pub since: String,
    /// The quorum as the seat sees it.
    #[serde(default)]
    pub quorum: Quorum,
    /// Number of voters in the member list that the seat read last; 0 if it has
    /// read none.
    #[serde(default)]
    pub voters: u32,
    /// ID of the member that leads the cluster.
    pub leader: Option<HexId>,
    /// Number of seats that the StatefulSet wants, as read last.
    pub wanted_seats: Option<u32>,
    /// True if the pod is being deleted.
    #[serde(default)]
    pub terminating: bool,
    /// etcd's version.
    #[serde(default)]
    pub version: String,
    /// Bytes of snapshot and log files on the volume until etcd says that the member votes, then 0.
    #[serde(default)]
    pub snapshot_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_report_are_part_of_the_interface() {
        let report = StatusReport {
            cluster: "db".into(),
            namespace: Some("ns".into()),
            seat: 1,
            pod: "db-1".into(),
            pod_uid: "u".into(),
            volume: "v".into(),
            has_data: true,
            member_id: Some(HexId(1)),
            cluster_id: None,
            phase: SeatPhase::Learner,
            reason: "CatchingUp".into(),
            why: "It catches up.".into(),
            since: "2026-01-01T00:00:00Z".into(),
            quorum: Quorum::Ok,
            voters: 2,
            leader: None,
            wanted_seats: Some(3),
            terminating: false,
            version: "3.6.16".into(),
            snapshot_bytes: 0,
        };
        let expected = serde_json::json!({
            "cluster": "db", "namespace": "ns", "seat": 1, "pod": "db-1", "podUID": "u", "volume": "v", "hasData": true,
            "memberID": "0000000000000001", "clusterID": null, "phase": "Learner", "reason": "CatchingUp", "why": "It catches up.",
            "since": "2026-01-01T00:00:00Z", "quorum": "Ok", "voters": 2, "leader": null,
            "wantedSeats": 3, "terminating": false, "version": "3.6.16",
            "snapshotBytes": 0,
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
        assert_eq!(
            serde_json::from_value::<StatusReport>(expected.clone()).unwrap(),
            report
        );
        // An agent of an earlier release does not name its namespace.
        let mut earlier = expected;
        earlier.as_object_mut().unwrap().remove("namespace");
        let namespace = serde_json::from_value::<StatusReport>(earlier).unwrap().namespace;
        assert_eq!(namespace, None);
    }

    /// A report with no more than it must have: whose it is, and whether the volume holds data.
    fn least() -> serde_json::Value {
        serde_json::json!({
            "cluster": "db", "seat": 1, "pod": "db-1", "podUID": "u", "volume": "v", "hasData": true,
        })
    }

    #[test]
    fn a_report_of_another_release_is_read() {
        let ours: StatusReport = serde_json::from_value(least()).unwrap();
        assert_eq!((ours.phase, ours.quorum), (SeatPhase::Unknown, Quorum::Unknown));
        let later = [
            ("phase", serde_json::json!("Restoring")),
            ("reason", serde_json::json!("Restoring")),
            ("quorum", serde_json::json!("Shaky")),
            ("version", serde_json::json!("4.0.0-rc.1")),
            ("wantedSeats", serde_json::json!(12)),
            ("certificates", serde_json::json!([{ "until": "2030" }])),
            ("backup", serde_json::json!({ "running": true })),
        ];
        for (key, value) in later {
            let mut report = least();
            report[key] = value;
            let read: StatusReport = serde_json::from_value(report).unwrap();
            assert_eq!(
                (read.has_data, read.seat, read.pod_uid.as_str()),
                (true, 1, "u"),
                "{key}"
            );
        }
    }

    #[test]
    fn a_report_that_does_not_say_whose_it_is_or_whether_there_is_data_counts_for_nothing() {
        for key in ["cluster", "seat", "podUID", "hasData"] {
            let mut report = least();
            report.as_object_mut().unwrap().remove(key);
            assert!(serde_json::from_value::<StatusReport>(report).is_err(), "{key}");
        }
    }
}
