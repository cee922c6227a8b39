//! The other seats: their addresses, their etcds' Status, their agents' reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use muster_api::names::AGENT_PORT;
use muster_api::status_report::StatusReport;
use muster_membership::{AgentReport, EtcdStatus, MemberId, Peer, Reading, Seat, Time, Workload};

use super::PEER_TIMEOUT;
use super::read::{merge_reading, timed};
use super::unread::Cause;
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
            .map(|(seat, address)| async move { (*seat, self.ask_peer(at, address).await) });
        Some(join_all(asked).await.into_iter().collect())
    }

    async fn ask_peer(&self, at: Time, address: &PeerAddress) -> Peer {
        let url = client_url(address);
        let (status, report) = tokio::join!(
            timed("a peer's etcd", self.requests.status(&url, PEER_TIMEOUT)),
            timed("a peer's agent", fetch_report(address, PEER_TIMEOUT))
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
            terminating: false,
        };
        seats
            .into_iter()
            .filter(|seat| *seat != self.observed.me.seat)
            .map(|seat| (seat, by_name(seat)))
            .collect()
    }

    /// The client URL of `member`, if it answered lately.
    pub(crate) fn url_of(&self, member: MemberId) -> Option<String> {
        let is_it = |status: &EtcdStatus| status.identity.member == member;
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

/// Reads another agent's report.
///
/// # Errors
/// No answer within `within`, or not a report.
async fn fetch_report(address: &PeerAddress, within: Duration) -> anyhow::Result<AgentReport> {
    let host = format!("{}:{AGENT_PORT}", address.host);
    let answer = http_get(&host, "/status", within).await?;
    anyhow::ensure!(answer.status() == 200, "{host}: {}", answer.status());
    let report: StatusReport = serde_json::from_slice(answer.body())?;
    Ok(AgentReport {
        has_data: report.has_data || report.member_id.is_some(),
        snapshot_bytes: report.snapshot_bytes,
    })
}
