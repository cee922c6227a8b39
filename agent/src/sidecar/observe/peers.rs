//! The other seats: their addresses, their etcds' Status, their agents' reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use muster_api::names::AGENT_PORT;
use muster_api::status_report::StatusReport;
use muster_membership::{AgentReport, EtcdStatus, Identity, Peer, Reading, Seat, Time, Workload};

use super::PEER_TIMEOUT;
use super::read::{merge_reading, timed};
use super::unread::Cause;
use crate::config::Config;
use crate::http_get::http_get;
use crate::kubernetes::PeerAddress;
use crate::sidecar::agent::{Agent, client_url};

/// Seats that are asked by their names at least, where neither the API server nor a list tells how many there are.
const GUESSED_SEATS: u32 = 9;

impl Agent {
    /// Asks the etcds and agents of the other seats, all at the same time.
    pub(super) async fn ask_peers(
        &self,
        at: Time,
        addresses: &BTreeMap<Seat, PeerAddress>,
        needed: bool,
    ) -> Option<BTreeMap<Seat, Peer>> {
        if !needed {
            return None;
        }
        let asked = addresses
            .iter()
            .map(|(seat, address)| async move { (*seat, self.ask_peer(at, *seat, address).await) });
        Some(join_all(asked).await.into_iter().collect())
    }

    async fn ask_peer(&self, at: Time, seat: Seat, address: &PeerAddress) -> Peer {
        let url = client_url(address);
        let (status, report) = tokio::join!(
            timed("a peer's etcd", self.requests.status(&url, PEER_TIMEOUT)),
            timed(
                "a peer's agent",
                fetch_report(&self.config, seat, address, PEER_TIMEOUT)
            )
        );
        let mut peer = Peer {
            terminating: address.terminating,
            ..Peer::default()
        };
        match status {
            Ok((sent, (status, _))) => peer.etcd = Reading::saw(self.time(sent), status),
            Err(failure) => peer.etcd.fail(at, failure.unread()),
        }
        merge_reading(&mut peer.agent, at, Some(report.map_err(|error| error.unread())));
        peer
    }

    /// The peers' addresses by the EndpointSlices, or by their names while the API server does not answer.
    pub(super) fn known_addresses(&self) -> BTreeMap<Seat, PeerAddress> {
        if let Some((_, known)) = &self.addresses {
            return known.clone();
        }
        let wanted = match self.observed.hint {
            Some(Workload::Wants(wanted)) => wanted.0,
            _ => 0,
        };
        let listed = self
            .observed
            .local_list
            .iter()
            .flat_map(|list| list.members.values())
            .filter_map(|m| m.seat);
        let seats: BTreeSet<Seat> = (0..wanted.max(GUESSED_SEATS)).map(Seat).chain(listed).collect();
        let domain = self.config.dns_domain();
        let by_name = |seat: Seat| PeerAddress {
            host: self.names.peer_host(seat.0, &self.config.namespace, &domain),
            uid: None,
            terminating: false,
        };
        seats
            .into_iter()
            .filter(|seat| *seat != self.observed.me.seat)
            .map(|seat| (seat, by_name(seat)))
            .collect()
    }

    /// The client URL of a member of a cluster, if it answered lately.
    pub(crate) fn url_of(&self, identity: Identity) -> Option<String> {
        let is_it = |status: &EtcdStatus| status.identity == identity;
        let now = self.now();
        if self.observed.local.fresh(now).is_some_and(is_it) {
            return Some(self.local_url());
        }
        let (_, peers) = self.observed.peers.seen.as_ref()?;
        let seat = peers
            .iter()
            .find(|(_, peer)| peer.etcd.fresh(now).is_some_and(is_it))
            .map(|(seat, _)| *seat)?;
        self.known_addresses().get(&seat).map(client_url)
    }
}

/// Reads the report of the agent of `seat`, whose pod the EndpointSlices have at `address`.
///
/// # Errors
/// No answer within `within`, not a report, or the report of another pod.
async fn fetch_report(
    config: &Config,
    seat: Seat,
    address: &PeerAddress,
    within: Duration,
) -> anyhow::Result<AgentReport> {
    let host = format!("{}:{AGENT_PORT}", address.host);
    let answer = http_get(&host, "/status", within).await?;
    anyhow::ensure!(answer.status() == 200, "{host}: {}", answer.status());
    let report: StatusReport = serde_json::from_slice(answer.body())?;
    if !is_of(&report, config, seat, address) {
        let StatusReport {
            pod, pod_uid, cluster, ..
        } = &report;
        tracing::debug!(
            host,
            ?seat,
            pod,
            pod_uid,
            cluster,
            "a report of another pod does not count"
        );
        anyhow::bail!("{host} is the address of another pod");
    }
    Ok(AgentReport {
        has_data: report.has_data || report.member_id.is_some(),
        snapshot_bytes: report.snapshot_bytes,
    })
}

/// True if the report is of this cluster's pod of `seat`: another pod may have its address by now.
fn is_of(report: &StatusReport, config: &Config, seat: Seat, address: &PeerAddress) -> bool {
    // An agent of an earlier release does not name its namespace.
    let namespace = report.namespace.as_ref().is_none_or(|name| *name == config.namespace);
    let pod = address.uid.as_ref().is_some_and(|uid| *uid == report.pod_uid);
    namespace && pod && report.cluster == config.cluster && report.seat == seat.0
}

#[cfg(test)]
mod tests {
    use muster_api::status::{Quorum, SeatPhase};
    use serde::Serialize;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::kubernetes::mock_api::config;

    fn report() -> StatusReport {
        StatusReport {
            cluster: "c".into(),
            namespace: Some("ns".into()),
            seat: 1,
            pod: "c-1".into(),
            pod_uid: "u".into(),
            volume: "v".into(),
            has_data: false,
            member_id: None,
            cluster_id: None,
            phase: SeatPhase::Waiting,
            reason: String::new(),
            why: String::new(),
            since: String::new(),
            quorum: Quorum::Unknown,
            voters: 0,
            leader: None,
            wanted_seats: None,
            terminating: false,
            version: String::new(),
            snapshot_bytes: 0,
        }
    }

    /// True if `report` counts, given by an agent at the address that the EndpointSlices have for seat 1.
    async fn counted(listener: &TcpListener, uid: Option<&str>, report: &impl Serialize) -> bool {
        let body = serde_json::to_string(report).unwrap();
        let address = PeerAddress {
            host: listener.local_addr().unwrap().ip().to_string(),
            uid: uid.map(str::to_owned),
            terminating: false,
        };
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            _ = stream.read(&mut request).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        };
        let settings = config();
        let fetch = fetch_report(&settings, Seat(1), &address, Duration::from_secs(30));
        let (answer, ()) = tokio::join!(fetch, serve);
        answer.is_ok()
    }

    #[tokio::test]
    async fn only_the_report_of_the_pod_that_is_meant_counts() {
        // An address of the loopback network that nothing else uses.
        let listener = TcpListener::bind(("127.0.82.1", AGENT_PORT)).await.unwrap();
        assert!(counted(&listener, Some("u"), &report()).await);
        let earlier = StatusReport {
            namespace: None,
            ..report()
        };
        assert!(counted(&listener, Some("u"), &earlier).await);
        let mut later = serde_json::to_value(report()).unwrap();
        (later["phase"], later["backup"]) = ("Restoring".into(), serde_json::json!({ "running": true }));
        later.as_object_mut().unwrap().remove("since");
        assert!(counted(&listener, Some("u"), &later).await);
        // The EndpointSlices have another pod there, or do not say which.
        assert!(!counted(&listener, Some("w"), &report()).await);
        assert!(!counted(&listener, None, &report()).await);
        let others = [
            StatusReport {
                cluster: "d".into(),
                ..report()
            },
            StatusReport {
                namespace: Some("other".into()),
                ..report()
            },
            StatusReport { seat: 2, ..report() },
        ];
        for other in others {
            assert!(!counted(&listener, Some("u"), &other).await, "{other:?}");
        }
    }
}
