//! Messages of etcd that say that its data is damaged.

/// Parts of what etcd writes when it cannot open its data (etcd `server/storage`, `wal`, `snap`, bbolt).
const CORRUPTION: [&str; 12] = [
    "crc mismatch",
    "wal: file not found",
    "wal: slice bounds out of range",
    "walpb: ",
    "invalid database",
    "database file is not valid",
    "checksum error",
    "failed to recover v3 backend from snapshot",
    "failed to read WAL",
    "wal: max entry size limit exceeded",
    // A damaged record of the log is decoded before its checksum is looked at (etcd `wal/decoder.go`); at a start
    // nothing else is decoded but what lies on the disk.
    "\"error\":\"proto: ",
    // raft's own words when the leader knows that this log held entries that are gone.
    "Was the raft log corrupted, truncated, or lost?",
];

/// True if a line of etcd's says that its data is damaged.
#[must_use]
pub(crate) fn tells_of_corruption(line: &str) -> bool {
    CORRUPTION.iter().any(|text| line.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As etcd 3.5.21 wrote them.
    #[test]
    fn etcds_words_for_damaged_data_are_known_and_others_are_not() {
        for line in [
            r#"{"level":"fatal","caller":"etcdmain/etcd.go:204","msg":"discovery failed","error":"proto: integer overflow"}"#,
            r#"{"level":"fatal","caller":"etcdmain/etcd.go:204","msg":"discovery failed","error":"walpb: crc mismatch"}"#,
            r#"{"level":"panic","msg":"tocommit(9) is out of range [lastIndex(4)]. Was the raft log corrupted, truncated, or lost?"}"#,
        ] {
            assert!(tells_of_corruption(line), "{line}");
        }
        for line in [
            r#"{"level":"fatal","msg":"discovery failed","error":"error validating peerURLs: member count is unequal"}"#,
            r#"{"level":"fatal","msg":"discovery failed","error":"listen tcp 0.0.0.0:2380: bind: address already in use"}"#,
            r#"{"level":"warn","msg":"prober detected unhealthy status","error":"dial tcp: proto: not a word at the beginning"}"#,
        ] {
            assert!(!tells_of_corruption(line), "{line}");
        }
    }
}
