//! The etcds: the local one every time, the member list and the other seats when the core needs them.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use muster_api::names::{METRICS_PORT, Names, PEER_PORT};
use muster_membership::{ClusterId, EtcdStatus, Launcher, MemberList, Reading, Seat, Time, Unread};

use super::read::{read_if, timed};
use super::unread::Cause;
use super::{ETCD_TIMEOUT, FENCE_TIMEOUT, PEER_TIMEOUT, STORED_TIMEOUT, note_view, view};
use crate::etcd::{Failure, has_no_leader, stored_list};
use crate::kubernetes::PeerAddress;
use crate::sidecar::agent::{Agent, client_url};

/// The local etcd's answers.
struct LocalEtcd {
    status: Option<Result<LocalStatus, Unread>>,
    /// Its words on the ports that do not serve clients, if it gave no status.
    stored: Option<Stored>,
}

/// The local etcd as a client sees it.
struct LocalStatus {
    /// The moment at which the status was asked for.
    sent: Instant,
    status: EtcdStatus,
    version: String,
    /// Its own member list, unless it is a learner or did not answer.
    members: Option<MemberList>,
}

/// The local etcd while it serves no clients: it catches up, or has found no leader since it started.
struct Stored {
    /// True if it knows no leader, if it says so.
    no_leader: Option<bool>,
    /// The list on its disk, while it knows no leader.
    list: Option<MemberList>,
}

impl Agent {
    /// Asks the etcds, and notes the answers. `list` asks for a fenced list, preferably of the cluster in it.
    pub(super) async fn look_at_etcd(&mut self, at: Time, peers: bool, list: Option<Option<ClusterId>>) {
        let addresses = self.known_addresses();
        let (local, others, members) = tokio::join!(
            self.ask_local(),
            timed("the other seats", self.ask_peers(at, &addresses, peers)),
            timed("member list", self.ask_members(&addresses, list)),
        );
        let before = view(&self.observed);
        let no_leader = self.note_local(at, local);
        note_view(&mut self.observed, &before, at);
        // Without the EndpointSlices the pods are not known: answers by name say nothing about the seats.
        if let Some(found) = others.filter(|_| self.addresses.is_some()) {
            self.observed.peers = Reading::saw(at, found);
        }
        match members {
            Some(Ok((sent, found))) => {
                let sent = self.time(sent);
                // A late answer may be older than one of another endpoint.
                if self.observed.list.seen.as_ref().is_none_or(|(known, _)| sent > *known) {
                    self.observed.list = Reading::saw(sent, found);
                }
            }
            Some(Err(cause)) => self.observed.list.fail(at, cause),
            None => {}
        }
        self.note_leaderless(at, no_leader);
    }

    async fn ask_local(&self) -> LocalEtcd {
        let running = self.observed.launcher == Launcher::Running;
        let url = self.local_url();
        let status = read_if(running, "the local etcd", ETCD_TIMEOUT, async {
            let (sent, (status, version)) = self.requests.status(&url, PEER_TIMEOUT).await?;
            let members = if status.learner {
                None
            } else {
                self.etcd.list(&url, &self.names).await.ok()
            };
            Ok::<_, Failure>(LocalStatus {
                sent,
                status,
                version,
                members,
            })
        });
        match status.await {
            Some(Err(cause)) => LocalEtcd {
                status: Some(Err(cause)),
                stored: Some(self.ask_stored().await),
            },
            status => LocalEtcd { status, stored: None },
        }
    }

    async fn ask_stored(&self) -> Stored {
        let (metrics, peer) = (self.local_host(METRICS_PORT), self.local_host(PEER_PORT));
        let no_leader = has_no_leader(&metrics, STORED_TIMEOUT).await;
        let no_leader = no_leader
            .inspect_err(|error| tracing::trace!(%error, "whether etcd knows a leader is not known"))
            .ok();
        if !no_leader.unwrap_or(self.observed.leaderless_since.is_some()) {
            return Stored { no_leader, list: None };
        }
        let list = stored_list(&peer, &self.names, STORED_TIMEOUT).await;
        let list = list.inspect_err(|error| tracing::trace!(%error, "no stored list")).ok();
        Stored { no_leader, list }
    }

    async fn ask_members(
        &self,
        addresses: &BTreeMap<Seat, PeerAddress>,
        list: Option<Option<ClusterId>>,
    ) -> Option<Result<(Instant, MemberList), Unread>> {
        let expected = list?;
        let mut urls: Vec<String> = addresses.values().map(client_url).collect();
        if self.observed.launcher == Launcher::Running {
            urls.push(self.local_url());
        }
        let names: &Names = &self.names;
        let sent = urls
            .iter()
            .map(|url| self.requests.fenced_list(url, names, FENCE_TIMEOUT))
            .collect();
        Some(first_list(sent, expected).await)
    }

    /// Notes the local etcd's answers; returns whether it knows no leader, if it did not answer as a client sees it.
    fn note_local(&mut self, at: Time, local: LocalEtcd) -> Option<bool> {
        match local.status {
            Some(Ok(seen)) => {
                self.version = seen.version;
                self.observed.local = Reading::saw(self.time(seen.sent), seen.status);
                if seen.members.is_some() {
                    self.observed.local_list = seen.members;
                }
            }
            Some(Err(cause)) => self.observed.local.fail(at, cause),
            None => {}
        }
        let stored = local.stored?;
        if stored.list.is_some() {
            self.observed.local_list = stored.list;
        }
        stored.no_leader
    }

    fn note_leaderless(&mut self, at: Time, no_leader: Option<bool>) {
        let status = self.observed.local.fresh(self.now());
        self.observed.leaderless_since = match status.map(|status| status.leader.is_none()).or(no_leader) {
            Some(true) => self.observed.leaderless_since.or(Some(at)),
            Some(false) => None,
            None => self.observed.leaderless_since,
        };
    }
}

/// The first fenced list of the expected cluster, or else of any; without one, a refusal that says most.
async fn first_list<F>(sent: FuturesUnordered<F>, expected: Option<ClusterId>) -> Result<(Instant, MemberList), Unread>
where
    F: Future<Output = Result<(Instant, MemberList), Failure>>,
{
    let mut sent = sent;
    let mut other = None;
    let mut refusals = Vec::new();
    while let Some(answer) = sent.next().await {
        match answer {
            Ok(found) if expected.is_none_or(|cluster| found.1.cluster == cluster) => return Ok(found),
            Ok(found) => other = Some(found),
            Err(error) => {
                tracing::trace!(%error, "no list");
                if let Unread::Refused(words) = error.unread() {
                    refusals.push(words);
                }
            }
        }
    }
    // In an order of their own, so that the sentence does not depend on which endpoint answers first.
    let cause = refusals.into_iter().min().map_or(Unread::Silent, Unread::Refused);
    other.ok_or(cause)
}
