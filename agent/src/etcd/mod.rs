//! Requests to etcd: one endpoint at a time, each with a deadline.

mod changes;
pub(crate) mod corruption;
mod last_words;
#[cfg(test)]
mod mock_etcd;
mod pending;
mod requests;
mod stored;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, GetOptions};
use muster_api::names::Names;
use muster_membership::{ClusterId, EtcdStatus, Identity, Member, MemberId, MemberList, Seat};

pub(crate) use last_words::last_words;
pub(crate) use requests::PendingRequests;
pub(crate) use stored::{has_no_leader, stored_list};

/// Time that an endpoint gets for its own member list.
pub(crate) const LIST_TIMEOUT: Duration = Duration::from_millis(500);

/// The cause for which a request did not surely succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// etcd said no; nothing changed.
    #[error("{0}")]
    Refused(String),
    /// No answer, or one that leaves open whether it happened.
    #[error("{0}")]
    Unknown(String),
}

/// Clients by endpoint URL. A client is never shared between endpoints: it would balance over them.
#[derive(Clone, Default)]
pub(crate) struct Etcd {
    clients: Arc<Mutex<BTreeMap<String, Client>>>,
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Etcd")
    }
}

impl Etcd {
    async fn client(&self, url: &str) -> Result<Client, Failure> {
        let known = self.clients.lock().ok().and_then(|clients| clients.get(url).cloned());
        if let Some(client) = known {
            return Ok(client);
        }
        let options = ConnectOptions::new().with_connect_timeout(Duration::from_secs(1));
        let client = Client::connect([url], Some(options)).await.map_err(|e| failure(&e))?;
        if let Ok(mut clients) = self.clients.lock() {
            clients.insert(url.to_owned(), client.clone());
        }
        Ok(client)
    }

    /// Forgets the connection to `url`: the next request there makes another.
    pub(crate) fn forget(&self, url: &str) {
        if let Ok(mut clients) = self.clients.lock() {
            clients.remove(url);
        }
    }

    /// Forgets the connections to every endpoint that `keep` does not name.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) {
        if let Ok(mut clients) = self.clients.lock() {
            clients.retain(|url, _| keep(url));
        }
    }

    /// Runs one request on a client of `url`. A connection without an answer is not used again.
    async fn ask<T, F>(&self, url: &str, deadline: Duration, request: impl FnOnce(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let work = async { request(self.client(url).await?).await.map_err(|e| failure(&e)) };
        let result = tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| {
            Err(Failure::Unknown(format!(
                "no answer from {url} within {} s",
                deadline.as_secs()
            )))
        });
        if matches!(result, Err(Failure::Unknown(_))) {
            self.forget(url);
        }
        result
    }

    /// Reads Status, and etcd's version in it.
    ///
    /// # Errors
    /// No answer.
    pub(crate) async fn status(&self, url: &str, within: Duration) -> Result<(EtcdStatus, String), Failure> {
        let status = self
            .ask(url, within, |mut client| async move { client.status().await })
            .await?;
        let header = status
            .header()
            .ok_or_else(|| Failure::Unknown("an answer without a header".into()))?;
        let answer = EtcdStatus {
            identity: Identity {
                member: MemberId(header.member_id()),
                cluster: ClusterId(header.cluster_id()),
            },
            leader: Some(status.leader()).filter(|id| *id != 0).map(MemberId),
            learner: status.is_learner(),
            applied: status.raft_applied_index(),
        };
        Ok((answer, status.version().to_owned()))
    }

    /// The member list as this endpoint has it, which may be old.
    ///
    /// # Errors
    /// No answer, or a learner, which does not serve this.
    pub(crate) async fn list(&self, url: &str, names: &Names) -> Result<MemberList, Failure> {
        let list = self
            .ask(
                url,
                LIST_TIMEOUT,
                |mut client| async move { client.member_list().await },
            )
            .await?;
        let cluster = list.header().map_or(0, etcd_client::ResponseHeader::cluster_id);
        let members = list.members().iter();
        let members = members.map(|m| {
            member(
                m.id(),
                m.name().to_owned(),
                m.peer_urls().to_vec(),
                m.is_learner(),
                names,
            )
        });
        Ok(MemberList {
            cluster: ClusterId(cluster),
            members: members.collect(),
        })
    }

    /// A linearizable read and then the member list, on the same endpoint: the list is not older than
    /// the moment of asking. (The client library's own list is never linearizable.) The read may take
    /// `within`, the list [`LIST_TIMEOUT`].
    ///
    /// # Errors
    /// No quorum, no answer, or a learner.
    pub(crate) async fn fenced_list(&self, url: &str, names: &Names, within: Duration) -> Result<MemberList, Failure> {
        let options = GetOptions::new().with_keys_only().with_limit(1);
        let fence = self
            .ask(url, within, |mut client| async move {
                client.get("\0", Some(options)).await
            })
            .await?;
        let fenced = fence.header().map_or(0, etcd_client::ResponseHeader::cluster_id);
        let list = self.list(url, names).await?;
        if list.cluster.0 != fenced {
            return Err(Failure::Unknown(format!(
                "{url} changed its cluster while it was asked"
            )));
        }
        Ok(list)
    }
}

/// An entry of a member list, with the seat that its peer URL names.
fn member(id: u64, name: String, peer_urls: Vec<String>, learner: bool, names: &Names) -> (MemberId, Member) {
    let member = Member {
        seat: peer_urls.iter().find_map(|url| names.seat_of_peer_url(url)).map(Seat),
        name,
        peer_urls,
        learner,
    };
    (MemberId(id), member)
}

/// The meaning of an error for the request: only these texts are a sure no (etcd-io/etcd `rpctypes`).
fn failure(error: &etcd_client::Error) -> Failure {
    const SURE: [&str; 12] = [
        "unhealthy cluster",
        "not enough started members",
        "too many learner",
        "learner in sync",
        "can only promote a learner",
        "Peer URLs already exists",
        "member ID already exist",
        "member not found",
        "not supported for learner",
        "permission denied",
        "user name is empty",
        "invalid auth token",
    ];
    match error {
        etcd_client::Error::GRpcStatus(status) => {
            let text = status.message().to_owned();
            if SURE.iter().any(|sure| text.contains(sure)) {
                Failure::Refused(text)
            } else {
                Failure::Unknown(text)
            }
        }
        other => Failure::Unknown(other.to_string()),
    }
}
