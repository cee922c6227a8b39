//! Looking at etcd, one endpoint at a time, past the proxies.
//!
//! A member list is whatever that member has applied so far, so it is fenced by a
//! linearizable read on the same endpoint.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use etcd_client::{Client, GetOptions};
use muster_api::names::CLIENT_PORT;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_millis(500);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(3000);

/// An entry of a member list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    /// The member's ID.
    pub(crate) id: u64,
    /// Its name, empty until it has started.
    pub(crate) name: String,
    /// Its first peer URL.
    pub(crate) peer_url: String,
    /// Whether it does not vote yet.
    pub(crate) learner: bool,
}

/// What one member says of its cluster.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The cluster's ID.
    pub(crate) cluster_id: u64,
    /// The member that answered.
    pub(crate) answered_by: u64,
    /// The member list.
    pub(crate) members: Vec<Member>,
}

/// What one member says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// The cluster's ID.
    pub(crate) cluster_id: u64,
    /// The member's own ID.
    pub(crate) member_id: u64,
    /// The leader it follows, 0 when there is none.
    pub(crate) leader: u64,
    /// Whether it is a learner.
    pub(crate) learner: bool,
}

/// Connects to one address, and says why when it cannot.
pub(crate) async fn connect(address: Ipv4Addr) -> Result<Client> {
    let endpoint = format!("{address}:{CLIENT_PORT}");
    // A client waits in silence for an endpoint that refuses, so knock first.
    timeout(CONNECT, TcpStream::connect(&endpoint))
        .await
        .map_err(|_| anyhow!("{endpoint} does not take a connection"))?
        .with_context(|| endpoint.clone())?;
    Ok(Client::connect([format!("http://{endpoint}")], None).await?)
}

/// A linearizable read and then the member list, both of `address`.
pub(crate) async fn fenced_view(address: Ipv4Addr) -> Result<View> {
    ask(address, async |mut client| {
        client.get("fence", None).await.context("linearizable read")?;
        let answer = client.member_list().await.context("member list")?;
        let header = answer.header().context("an answer without a header")?;
        let members = answer.members().iter().map(|member| Member {
            id: member.id(),
            name: member.name().to_owned(),
            peer_url: member.peer_urls().first().cloned().unwrap_or_default(),
            learner: member.is_learner(),
        });
        Ok(View {
            cluster_id: header.cluster_id(),
            answered_by: header.member_id(),
            members: members.collect(),
        })
    })
    .await
}

/// What the member at `address` says of itself.
pub(crate) async fn status(address: Ipv4Addr) -> Result<Status> {
    ask(address, async |mut client| {
        let answer = client.status().await?;
        let header = answer.header().context("an answer without a header")?;
        Ok(Status {
            cluster_id: header.cluster_id(),
            member_id: header.member_id(),
            leader: answer.leader(),
            learner: answer.is_learner(),
        })
    })
    .await
}

/// Every key with a prefix, by a linearizable read.
pub(crate) async fn range(address: Ipv4Addr, prefix: &str) -> Result<BTreeMap<String, String>> {
    ask(address, async |mut client| {
        let answer = client.get(prefix, Some(GetOptions::new().with_prefix())).await?;
        let pairs = answer.kvs().iter();
        pairs
            .map(|pair| Ok((pair.key_str()?.to_owned(), pair.value_str()?.to_owned())))
            .collect()
    })
    .await
}

/// Moves leadership; `address` must be the leader's.
pub(crate) async fn move_leader(address: Ipv4Addr, to: u64) -> Result<()> {
    ask(address, async |mut client| {
        Ok(client.move_leader(to).await.map(drop)?)
    })
    .await
}

thread_local! {
    /// Clients by address, each thrown away at its first error.
    static CLIENTS: RefCell<BTreeMap<Ipv4Addr, Client>> = const { RefCell::new(BTreeMap::new()) };
}

/// Runs one request with a deadline.
async fn ask<T, F: Future<Output = Result<T>>>(address: Ipv4Addr, request: impl FnOnce(Client) -> F) -> Result<T> {
    let known = CLIENTS.with_borrow_mut(|clients| clients.remove(&address));
    let work = async {
        let client = match known {
            Some(client) => client,
            None => connect(address).await?,
        };
        let answer = request(client.clone()).await?;
        CLIENTS.with_borrow_mut(|clients| clients.insert(address, client));
        Ok(answer)
    };
    let answer = timeout(PATIENCE, work).await;
    answer
        .unwrap_or_else(|_| Err(anyhow!("no answer in {:.1} s", PATIENCE.as_secs_f64())))
        .with_context(|| address.to_string())
}
