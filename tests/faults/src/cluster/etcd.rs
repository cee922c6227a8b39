//! Looking at etcd by its pod's address, past the proxies.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use etcd_client::Client;
use muster_api::names::CLIENT_PORT;
use muster_test_support::etcd::{self, Clients};
pub(crate) use muster_test_support::etcd::{Status, View};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(3000);

thread_local! {
    static CLIENTS: Rc<Clients> = Rc::new(Clients::with_patience(PATIENCE));
}

fn clients() -> Rc<Clients> {
    CLIENTS.with(Rc::clone)
}

fn at(address: Ipv4Addr) -> String {
    format!("{address}:{CLIENT_PORT}")
}

/// Connects to one address, and says why when it cannot.
pub(crate) async fn connect(address: Ipv4Addr) -> Result<Client> {
    etcd::connect(&at(address)).await
}

/// A linearizable read and then the member list, both of `address`.
pub(crate) async fn fenced_view(address: Ipv4Addr) -> Result<View> {
    clients().fenced_view(&at(address)).await
}

/// What the member at `address` says of itself.
pub(crate) async fn status(address: Ipv4Addr) -> Result<Status> {
    clients().status(&at(address)).await
}

/// Every key with a prefix, by a linearizable read.
pub(crate) async fn range(address: Ipv4Addr, prefix: &str) -> Result<HashMap<String, String>> {
    clients().range(&at(address), prefix, true).await
}

/// Moves leadership; `address` must be the leader's.
pub(crate) async fn move_leader(address: Ipv4Addr, to: u64) -> Result<()> {
    clients().move_leader(&at(address), to).await
}
