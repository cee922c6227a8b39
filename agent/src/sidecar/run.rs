//! The loop: look, decide, publish, act.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use muster_api::names::AGENT_PORT;
use muster_membership::{Decision, Time, Workload, decide, timing};
use tokio::sync::{mpsc, watch};

use super::agent::Agent;
use super::http;
use super::metrics::AgentMetrics;
use crate::config::Config;
use crate::kubernetes::{EventWriter, Kubernetes, Publisher, WorkloadReader, connect};
use crate::socket::server::{self, LauncherState, LeaveRequest};

/// Runs the agent until the process is ended.
///
/// # Errors
/// Something that trying again cannot mend: settings, the socket, the port.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let mut socket = server::listen(&config.socket)?;
    let launcher = socket.launcher.clone();
    let client = connect().await?;
    let api = Kubernetes::new(client.clone(), &config);
    let reader = Arc::new(WorkloadReader::new(api.clone()));
    let writer = EventWriter::start(client, &config, reader.subject());
    let (hint_sender, hint) = watch::channel(None);
    let watcher = reader.clone();
    tokio::spawn(async move { watcher.watch(hint_sender).await });
    let publisher = Publisher::start(&api, reader.cluster());
    let (report_sender, report) = watch::channel(None);
    let (metrics, registry) = AgentMetrics::registered();
    let address = SocketAddr::new(unspecified(&config), AGENT_PORT);
    http::serve(address, report, Arc::new(registry)).await?;
    let mut wake_ups = WakeUps {
        launcher: launcher.watch(),
        hint: hint.clone(),
    };
    let mut agent = Agent::new(config, launcher, api, reader, hint, writer, report_sender)?;
    let mut needs = BTreeSet::new();
    loop {
        agent.observe(&needs).await;
        let now = agent.now();
        let decision = decide(&agent.observed, &agent.memory, now);
        agent.memory = decision.memory.clone();
        metrics.count(&decision);
        agent.note_good_start(now);
        agent.note_home(now);
        let publishes = publisher.leader.borrow().is_some();
        agent.confirm_members(publishes).await;
        agent.publish(&decision, &publisher, &metrics, now);
        agent.send_events(&decision, now);
        agent.carry_out(&decision).await;
        tracing::trace!(phase = ?decision.phase, needs = ?decision.needs, hint = ?agent.observed.hint, "turn");
        needs = decision.needs;
        let wait = with_jitter(agent.until(decision.next_check));
        wake_ups.wait(wait, &mut socket.leaves, &mut agent.hooks).await;
    }
}

/// A pause, and if it has grown long a random part of it more: the agents of many clusters wait for one API server.
fn with_jitter(pause: Duration) -> Duration {
    if pause > timing::REST_INTERVAL {
        pause + pause.mul_f64(rand::random_range(0.0..0.25))
    } else {
        pause
    }
}

/// Every address of the pod. A listener of IPv6 takes connections of both families, as etcd's do; a kernel without IPv6
/// has none.
fn unspecified(config: &Config) -> IpAddr {
    if config.addresses().iter().any(IpAddr::is_ipv6) {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

/// Changes that wake the loop before its time.
struct WakeUps {
    launcher: watch::Receiver<LauncherState>,
    hint: watch::Receiver<Option<Workload>>,
}

impl WakeUps {
    async fn wait(
        &mut self,
        wait: Duration,
        leaves: &mut mpsc::UnboundedReceiver<LeaveRequest>,
        hooks: &mut Vec<LeaveRequest>,
    ) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Ok(()) = self.launcher.changed() => {}
            Ok(()) = self.hint.changed() => {}
            Some(hook) = leaves.recv() => hooks.push(hook),
        }
    }
}

impl Agent {
    /// Sends the Events that follow from the seat's state.
    fn send_events(&mut self, decision: &Decision, now: Time) {
        let Some(phase) = decision.phase else { return };
        let (quorum, seat) = (self.quorum(now), self.observed.me.seat);
        for event in self.event_log.state_seen(phase, quorum, &decision.why, seat, now) {
            self.events.send(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::kubernetes::mock_api::config;

    #[tokio::test]
    async fn a_pod_with_an_address_of_ipv6_is_reached_by_both_families() {
        let dual = Config {
            pod_ips: "127.0.0.1,::1".into(),
            ..config()
        };
        let listener = TcpListener::bind((unspecified(&dual), 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "::1"] {
            TcpStream::connect((host, port)).await.unwrap();
        }
        assert_eq!(unspecified(&config()), Ipv4Addr::UNSPECIFIED);
    }
}
