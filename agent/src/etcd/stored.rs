//! The member list that an etcd has on its own disk, asked on its peer port.
//!
//! Clients are served only once a member has made itself known through a leader; peers, who ask this of
//! a cluster that they join, are served before (etcd `embed/etcd.go`, `etcdhttp/peer.go`). After a start
//! without a quorum it is the only list there is.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_api::names::Names;
use muster_membership::{ClusterId, MemberList};
use serde::Deserialize;

use super::member;
use crate::http_get::http_get;

/// An entry as etcd writes it; what is empty is left out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    id: u64,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default)]
    is_learner: bool,
    #[serde(default)]
    name: String,
}

/// Reads the list of the etcd whose peers reach it at `host` (with its port).
///
/// # Errors
/// No answer, or not a list.
pub(crate) async fn stored_list(host: &str, names: &Names, within: Duration) -> anyhow::Result<MemberList> {
    let answer = http_get(host, "/members", within).await?;
    anyhow::ensure!(answer.status() == 200, "{host}: {}", answer.status());
    let cluster = answer
        .headers()
        .get("x-etcd-cluster-id")
        .and_then(|id| u64::from_str_radix(id.to_str().ok()?, 16).ok())
        .ok_or_else(|| anyhow::anyhow!("{host}: a list without a cluster ID"))?;
    Ok(MemberList {
        cluster: ClusterId(cluster),
        members: read(answer.body(), names)?,
    })
}

/// True if the etcd with this metrics address (with its port) runs and knows no leader. It says so from
/// early on, while it serves no clients (etcd `etcdhttp/health.go`); one that replays its log says nothing.
///
/// # Errors
/// No answer.
pub(crate) async fn has_no_leader(host: &str, within: Duration) -> anyhow::Result<bool> {
    let answer = http_get(host, "/health", within).await?;
    Ok(String::from_utf8_lossy(answer.body()).contains("RAFT NO LEADER"))
}

fn read(
    body: &[u8],
    names: &Names,
) -> serde_json::Result<BTreeMap<muster_membership::MemberId, muster_membership::Member>> {
    let entries: Vec<Entry> = serde_json::from_slice(body)?;
    let entries = entries.into_iter();
    Ok(entries
        .map(|e| member(e.id, e.name, e.peer_urls, e.is_learner, names))
        .collect())
}

#[cfg(test)]
mod tests {
    use muster_membership::{MemberId, Seat};

    use super::*;

    /// As etcd 3.5.21 answers, shortened.
    const ANSWER: &str = r#"[
        {"id":7254306912345678901,"peerURLs":["http://c-0.c-peer.n.svc.cluster.local:2380"],"name":"c-0",
         "clientURLs":["http://c-0.c-peer.n.svc.cluster.local:2379"]},
        {"id":13528462389012345678,"peerURLs":["http://c-1.c-peer.n.svc.cluster.local:2380"],"isLearner":true}]"#;

    #[test]
    fn members_and_learners_are_read_with_ids_beyond_53_bits() {
        let members = read(ANSWER.as_bytes(), &Names::new("c")).unwrap();
        let (first, second) = (
            &members[&MemberId(7_254_306_912_345_678_901)],
            &members[&MemberId(13_528_462_389_012_345_678)],
        );
        assert_eq!(
            (first.seat, first.learner, first.started()),
            (Some(Seat(0)), false, true)
        );
        assert_eq!(
            (second.seat, second.learner, second.started()),
            (Some(Seat(1)), true, false)
        );
    }
}
