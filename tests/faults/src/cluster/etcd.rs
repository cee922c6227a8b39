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

/// The timeout of an answer.
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

/// Connects to one address; an error says why it cannot.
pub(crate) async fn connect(address: Ipv4Addr) -> Result<Client> {
    etcd::connect(&at(address)).await
}

/// Makes a linearizable read and then reads the member list, both at `address`.
pub(crate) async fn fenced_view(address: Ipv4Addr) -> Result<View> {
    clients().fenced_view(&at(address)).await
}

/// Asks the member at `address` for its own status.
pub(crate) async fn status(address: Ipv4Addr) -> Result<Status> {
    clients().status(&at(address)).await
}

/// Reads every key with a prefix, linearizably.
pub(crate) async fn range(address: Ipv4Addr, prefix: &str) -> Result<HashMap<String, String>> {
    clients().range(&at(address), prefix, true).await
}

/// Moves leadership; `address` must be the leader's.
pub(crate) async fn move_leader(address: Ipv4Addr, to: u64) -> Result<()> {
    clients().move_leader(&at(address), to).await
}
