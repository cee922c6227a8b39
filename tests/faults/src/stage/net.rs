//! The network of one case: a bridge, and a namespace for each pod.
//!
//! ```text
//!   10.S.0.1  the run: API server, names, judge, client          (slot S)
//!      │ bridge
//!      ├── 10.S.1.2   seat 0, its first pod
//!      ├── 10.S.1.3   seat 0, its second pod
//!      └── 10.S.2.2   seat 1 …
//! ```
//!
//! In a pod's namespace, what comes for etcd or the agent is led through the proxies,
//! also from the pod itself; only what comes from 10.S.0.1 is not. So agent and etcd
//! have their usual ports, and every link passes the gate.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::Result;
use muster_api::names::{AGENT_PORT, CLIENT_PORT, PEER_PORT};

use super::apart::command;

/// The address from which the proxies speak to what they stand before.
pub(crate) const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
/// A proxy listens on the port it stands for plus this.
pub(crate) const SHIFT: u16 = 10_000;
/// The ports that are led through proxies.
pub(crate) const PORTS: [u16; 3] = [CLIENT_PORT, PEER_PORT, AGENT_PORT];

/// The network of one case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Net {
    slot: u8,
}

impl Net {
    /// Makes the bridge of a slot.
    pub(crate) fn make(slot: u8) -> Result<Self> {
        let net = Self { slot };
        let bridge = net.bridge();
        command("ip", &["link", "add", &bridge, "type", "bridge", "forward_delay", "0"])?;
        command(
            "ip",
            &["address", "add", &format!("{}/16", net.gateway()), "dev", &bridge],
        )?;
        command("ip", &["link", "set", &bridge, "up"])?;
        Ok(net)
    }

    pub(crate) fn remove(self) -> Result<()> {
        command("ip", &["link", "del", &self.bridge()])
    }

    fn bridge(self) -> String {
        format!("br{}", self.slot)
    }

    /// The run's own address.
    pub(crate) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.slot, 0, 1)
    }

    /// Makes the namespace of a seat's `nth` pod; returns its file and address.
    pub(crate) fn plug(self, seat: u32, nth: u8) -> Result<(PathBuf, Ipv4Addr)> {
        let name = format!("s{}-{seat}-{nth}", self.slot);
        let third = u8::try_from(seat + 1)?;
        let address = Ipv4Addr::new(10, self.slot, third, nth + 2);
        let gateway = self.gateway();
        let mut rules = String::from("*nat\n");
        for port in PORTS {
            let to = port + SHIFT;
            rules += &format!("-A PREROUTING ! -s {gateway} -p tcp --dport {port} -j REDIRECT --to-ports {to}\n");
            rules += &format!("-A OUTPUT -o lo ! -s {PROXY} -p tcp --dport {port} -j REDIRECT --to-ports {to}\n");
        }
        rules += "COMMIT\n";
        let script = format!(
            "set -e
            ip netns add {name}
            ip link add {name} type veth peer name eth0 netns {name}
            ip link set {name} master {bridge} up
            ip -n {name} address add {address}/16 dev eth0
            ip -n {name} link set lo up
            ip -n {name} link set eth0 up
            printf '%s' \"$1\" | nsenter --net=/run/netns/{name} iptables-restore",
            bridge = self.bridge(),
        );
        command("sh", &["-c", &script, "sh", &rules])?;
        Ok((PathBuf::from(format!("/run/netns/{name}")), address))
    }

    /// Removes a pod's namespace.
    pub(crate) fn unplug(netns: &std::path::Path) -> Result<()> {
        let name = netns.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        command("ip", &["netns", "del", name])
    }
}

/// The seat that an address belongs to; none is the run itself.
pub(crate) fn seat_of(address: IpAddr) -> Option<u32> {
    match address {
        IpAddr::V4(v4) if v4.octets()[0] == 10 => u32::from(v4.octets()[2]).checked_sub(1),
        _ => None,
    }
}
