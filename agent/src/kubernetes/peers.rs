//! The pods of the other seats, from the EndpointSlices of the peer Service.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointSlice};
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

/// Reads the slices of either family: a Service publishes addresses of its own families, which need not be the first of
/// a pod.
fn read(config: &Config, slices: &[EndpointSlice]) -> Slices {
    let names = config.names();
    let own = config.addresses();
    let mut found = Slices {
        own: Endpoint::Unpublished,
        peers: BTreeMap::new(),
    };
    let mut ranks = BTreeMap::new();
    for endpoint in slices.iter().flat_map(|slice| &slice.endpoints) {
        let Some(seat) = endpoint.hostname.as_deref().and_then(|host| names.seat_of_pod(host)) else {
            continue;
        };
        let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref());
        let Some(address) = endpoint.addresses.first() else {
            continue;
        };
        if endpoint.hostname.as_deref() == Some(config.pod.as_str()) {
            if uid == Some(config.pod_uid.as_str()) && address.parse().is_ok_and(|ip| own.contains(&ip)) {
                found.own = Endpoint::Published;
            }
            continue;
        }
        let rank = rank(address, &own);
        if ranks.get(&seat).is_some_and(|known| *known < rank) {
            continue;
        }
        ranks.insert(seat, rank);
        found.peers.insert(Seat(seat), peer(endpoint, address));
    }
    found
}

/// The place of an address among those of a pod that is published with two: first those of this pod's own first family,
/// last those of a family that this pod has no address of.
fn rank(address: &str, own: &[IpAddr]) -> usize {
    let ip: Option<IpAddr> = address.parse().ok();
    let same = |other: &IpAddr| ip.is_some_and(|ip| ip.is_ipv6() == other.is_ipv6());
    own.iter().position(same).unwrap_or(own.len())
}

fn peer(endpoint: &SliceEndpoint, address: &str) -> PeerAddress {
    let conditions = endpoint.conditions.as_ref();
    PeerAddress {
        host: if address.contains(':') {
            format!("[{address}]")
        } else {
            address.to_owned()
        },
        uid: endpoint.target_ref.as_ref().and_then(|target| target.uid.clone()),
        terminating: conditions.and_then(|c| c.terminating).unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::mock_api;

    /// The pod `c-0` with the UID `p`.
    fn config(pod_ip: &str, pod_ips: &str) -> Config {
        Config {
            pod_ip: pod_ip.parse().unwrap(),
            pod_ips: pod_ips.into(),
            ..mock_api::config()
        }
    }

    /// A slice of one family with these pods: name, UID, address.
    fn slice(family: &str, pods: &[(&str, &str, &str)]) -> EndpointSlice {
        let endpoint = |(name, uid, address): &(&str, &str, &str)| json!({ "addresses": [address], "hostname": name, "targetRef": { "kind": "Pod", "name": name, "uid": uid } });
        let endpoints: Vec<_> = pods.iter().map(endpoint).collect();
        serde_json::from_value(json!({ "addressType": family, "metadata": {}, "endpoints": endpoints })).unwrap()
    }

    #[test]
    fn a_pod_is_published_with_an_address_of_either_family() {
        let v4 = |address| slice("IPv4", &[("c-0", "p", address)]);
        let v6 = |address| slice("IPv6", &[("c-0", "p", address)]);
        let dual = config("10.0.0.5", "10.0.0.5,fd00::5");
        let reversed = config("fd00::5", "fd00::5,10.0.0.5");
        let single = config("10.0.0.5", "10.0.0.5");
        let earlier = config("10.0.0.5", "");
        for (config, slices, published) in [
            (&dual, vec![v4("10.0.0.5")], true),
            (&dual, vec![v6("fd00::5")], true),
            (&dual, vec![v6("fd00:0:0::5")], true),
            (&dual, vec![v4("10.0.0.5"), v6("fd00::5")], true),
            (&reversed, vec![v4("10.0.0.5")], true),
            (&single, vec![v4("10.0.0.5")], true),
            (&earlier, vec![v4("10.0.0.5")], true),
            // An address of an earlier pod.
            (&dual, vec![v6("fd00::6")], false),
            (&dual, vec![v4("10.0.0.6"), v6("fd00::6")], false),
            // A family that the pod has no address of.
            (&single, vec![v6("fd00::5")], false),
            (&dual, vec![], false),
        ] {
            let own = read(config, &slices).own;
            assert_eq!(own == Endpoint::Published, published, "{config:?} {slices:?}");
        }
        let other = slice("IPv6", &[("c-0", "another UID", "fd00::5")]);
        assert_eq!(read(&dual, &[other]).own, Endpoint::Unpublished);
    }

    #[test]
    fn a_peer_with_two_addresses_is_reached_in_this_pods_first_family_whatever_the_order_of_slices() {
        let both = || {
            [
                slice("IPv4", &[("c-1", "u", "10.0.0.6")]),
                slice("IPv6", &[("c-1", "u", "fd00::6")]),
            ]
        };
        let reversed = || {
            let [v4, v6] = both();
            [v6, v4]
        };
        for (config, host) in [
            (config("10.0.0.5", "10.0.0.5,fd00::5"), "10.0.0.6"),
            (config("fd00::5", "fd00::5,10.0.0.5"), "[fd00::6]"),
            (config("10.0.0.5", ""), "10.0.0.6"),
        ] {
            for slices in [both(), reversed()] {
                assert_eq!(read(&config, &slices).peers[&Seat(1)].host, host, "{config:?}");
            }
            // Published in one family, it is reached there.
            let only = &both()[1..];
            assert_eq!(read(&config, only).peers[&Seat(1)].host, "[fd00::6]");
        }
    }
}
