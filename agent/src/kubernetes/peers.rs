//! The pods of the other seats, from the EndpointSlices of the peer Service.

use std::collections::BTreeMap;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use muster_membership::{Endpoint, Seat};

use super::Kubernetes;
use crate::config::Config;

/// The address of a seat's pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerAddress {
    /// Its address or name, as it stands in a URL.
    pub(crate) host: String,
    /// The pod's UID, if the EndpointSlices name it.
    pub(crate) uid: Option<String>,
    /// True if it is being terminated.
    pub(crate) terminating: bool,
}

/// The content of the EndpointSlices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slices {
    /// The entry of this agent's own pod.
    pub(crate) own: Endpoint,
    /// The pods of the other seats.
    pub(crate) peers: BTreeMap<Seat, PeerAddress>,
}

impl Kubernetes {
    /// Reads the EndpointSlices afresh.
    ///
    /// # Errors
    /// The API server does not answer, or refuses.
    pub(crate) async fn read_slices(&self) -> Result<Slices, kube::Error> {
        let service = self.config.names().peer_service();
        let scope = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let list = self.slices.list(&scope).await?;
        Ok(read(&self.config, &list.items))
    }
}

fn read(config: &Config, slices: &[EndpointSlice]) -> Slices {
    let names = config.names();
    let mut found = Slices {
        own: Endpoint::Unpublished,
        peers: BTreeMap::new(),
    };
    for endpoint in slices.iter().flat_map(|slice| &slice.endpoints) {
        let Some(seat) = endpoint.hostname.as_deref().and_then(|host| names.seat_of_pod(host)) else {
            continue;
        };
        let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref());
        let Some(address) = endpoint.addresses.first() else {
            continue;
        };
        if endpoint.hostname.as_deref() == Some(config.pod.as_str()) {
            if uid == Some(config.pod_uid.as_str())
                && address.parse().is_ok_and(|ip: std::net::IpAddr| ip == config.pod_ip)
            {
                found.own = Endpoint::Published;
            }
            continue;
        }
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.clone()
        };
        let terminating = endpoint
            .conditions
            .as_ref()
            .and_then(|c| c.terminating)
            .unwrap_or(false);
        let uid = uid.map(str::to_owned);
        let peer = PeerAddress { host, uid, terminating };
        found.peers.insert(Seat(seat), peer);
    }
    found
}
