//! Looking at etcd, one endpoint at a time.
//!
//! A client balances over its endpoints, so there is one client for each
//! address; and a member list is whatever that member has applied so far, so
//! it is fenced by a linearizable read on the same endpoint.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use etcd_client::{Client, GetOptions};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The timeout of a connection.
const CONNECT: Duration = Duration::from_millis(700);

/// An entry of a member list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The member's ID.
    pub id: u64,
    /// Its name, empty until it has started.
    pub name: String,
    /// Its first peer URL.
    pub peer_url: String,
    /// True if it does not vote yet.
    pub learner: bool,
}

/// The cluster as one member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The cluster's ID.
    pub cluster_id: u64,
    /// The member that answered.
    pub answered_by: u64,
    /// The member list, in the order of names.
    pub members: Vec<Member>,
}

/// A member's own status.
#[derive(Debug, Clone)]
pub struct Status {
    /// The cluster's ID.
    pub cluster_id: u64,
    /// The member's own ID.
    pub member_id: u64,
    /// The leader it follows, 0 when there is none.
    pub leader: u64,
    /// The version it runs.
    pub version: String,
    /// True if it is a learner.
    pub learner: bool,
}

/// The host part of a peer URL: the seat's name and nothing else.
pub fn seat_name(peer_url: &str) -> &str {
    let host = peer_url.split("://").nth(1).unwrap_or(peer_url);
    host.split(['.', ':', '/']).next().unwrap_or(host)
}

/// Connects to one address.
///
/// # Errors
/// The address takes no connection in time; the error says why.
pub async fn connect(address: &str) -> Result<Client> {
    // A client waits in silence for an endpoint that refuses, so knock first.
    timeout(CONNECT, TcpStream::connect(address))
        .await
        .map_err(|_| anyhow!("{address} does not take a connection"))?
        .with_context(|| address.to_owned())?;
    Ok(Client::connect([format!("http://{address}")], None).await?)
}

/// Clients by address, each thrown away at its first error.
pub struct Clients {
    patience: Duration,
    known: RefCell<HashMap<String, Client>>,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clients")
    }
}

impl Clients {
    /// Clients that wait this long for an answer.
    pub fn with_patience(patience: Duration) -> Self {
        Self {
            patience,
            known: RefCell::default(),
        }
    }

    /// Makes a linearizable read and then reads the member list, both at `address`.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn fenced_view(&self, address: &str) -> Result<View> {
        self.ask(address, async |mut client| {
            client.get("fence", None).await.context("linearizable read")?;
            view(&mut client).await
        })
        .await
    }

    /// Reads the member list as `address` has it now.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn view(&self, address: &str) -> Result<View> {
        self.ask(address, async |mut client| view(&mut client).await).await
    }

    /// Asks the member at `address` for its own status.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn status(&self, address: &str) -> Result<Status> {
        self.ask(address, async |mut client| {
            let answer = client.status().await?;
            let header = answer.header().context("an answer without a header")?;
            Ok(Status {
                cluster_id: header.cluster_id(),
                member_id: header.member_id(),
                leader: answer.leader(),
                version: answer.version().to_owned(),
                learner: answer.is_learner(),
            })
        })
        .await
    }

    /// Moves leadership to the member `to`; `address` must be the leader's.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn move_leader(&self, address: &str, to: u64) -> Result<()> {
        self.ask(address, async |mut client| {
            Ok(client.move_leader(to).await.map(drop)?)
        })
        .await
    }

    /// Writes a key through `address`.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn put(&self, address: &str, key: &str, value: &str) -> Result<()> {
        self.ask(address, async |mut client| {
            client.put(key, value, None).await?;
            Ok(())
        })
        .await
    }

    /// Reads every key with a prefix through `address`.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn range(&self, address: &str, prefix: &str, linearizable: bool) -> Result<HashMap<String, String>> {
        self.ask(address, async |mut client| {
            let options = GetOptions::new().with_prefix();
            let options = if linearizable {
                options
            } else {
                options.with_serializable()
            };
            let answer = client.get(prefix, Some(options)).await?;
            let pairs = answer.kvs().iter();
            pairs
                .map(|pair| Ok((pair.key_str()?.to_owned(), pair.value_str()?.to_owned())))
                .collect()
        })
        .await
    }

    /// Runs one request with a deadline on the client of `address`.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn ask<T, F: Future<Output = Result<T>>>(
        &self,
        address: &str,
        request: impl FnOnce(Client) -> F,
    ) -> Result<T> {
        let known = self.known.borrow().get(address).cloned();
        let client = match known {
            Some(client) => client,
            None => connect(address).await?,
        };
        let answer = timeout(self.patience, request(client.clone())).await;
        let answer = answer.unwrap_or_else(|_| Err(anyhow!("no answer in {:.1} s", self.patience.as_secs_f64())));
        if answer.is_ok() {
            self.known.borrow_mut().insert(address.to_owned(), client);
        } else {
            self.known.borrow_mut().remove(address);
        }
        answer.with_context(|| address.to_owned())
    }
}

async fn view(client: &mut Client) -> Result<View> {
    let answer = client.member_list().await.context("member list")?;
    let header = answer.header().context("an answer without a header")?;
    let mut members: Vec<_> = answer
        .members()
        .iter()
        .map(|member| Member {
            id: member.id(),
            name: member.name().to_owned(),
            peer_url: member.peer_urls().first().cloned().unwrap_or_default(),
            learner: member.is_learner(),
        })
        .collect();
    members.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    Ok(View {
        cluster_id: header.cluster_id(),
        answered_by: header.member_id(),
        members,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_the_first_label_of_its_peer_url() {
        assert_eq!(
            seat_name("http://demo-1.demo-peer.e2e.svc.cluster.local:2380"),
            "demo-1"
        );
        assert_eq!(seat_name("http://10:2380"), "10");
    }
}
