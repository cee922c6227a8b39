//! The loop: look, decide, act, tell.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use muster_api::HexId;
use muster_api::names::AGENT_PORT;
use muster_api::status::{MemberStatus, Quorum, Role, SeatPhase, SeatStatus};
use muster_api::status_report::StatusReport;
use muster_membership::{Decision, Launcher, Phase, Time, decide, timing};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};

use super::{http, observe::peers as report};
use crate::config::Config;
use crate::kubernetes::{EventWriter, Kubernetes, LeaderView, Publisher, WorkloadReader};
use crate::sidecar::agent::Agent;
use crate::socket::server::{self, LeaveRequest};

/// Runs the agent until the process is ended.
///
/// # Errors
/// Something that cannot be mended by trying again: settings, the socket, the port.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut server = server::listen(&config.socket)?;
    let launcher = server.launcher.clone();
    let client = kube::Client::try_default().await?;
    let api = Kubernetes::new(client.clone(), &config);
    let reader = Arc::new(WorkloadReader::new(api.clone()));
    let writer = EventWriter::start(client, &config, reader.subject());
    let (hint_sender, hint) = watch::channel(None);
    let watcher = reader.clone();
    tokio::spawn(async move { watcher.watch(hint_sender).await });
    let publisher = Publisher::start(&api, reader.cluster());
    let (report_sender, report) = watch::channel(None);
    let mut registry = Registry::with_prefix("muster_agent");
    let decisions = Counter::<u64>::default();
    let actions = Counter::<u64>::default();
    registry.register("decisions", "Decisions made", decisions.clone());
    registry.register("actions", "Steps taken or tried", actions.clone());
    let address = SocketAddr::new(unspecified(&config), AGENT_PORT);
    http::serve(address, report, Arc::new(registry)).await?;
    let mut events = Events {
        launcher: launcher.watch(),
        hint: hint.clone(),
    };
    let mut agent = Agent::new(config, launcher, api, reader, hint, writer, report_sender)?;
    let mut needs = BTreeSet::new();
    let mut told = Told::default();
    loop {
        agent.observe(&needs).await;
        let now = agent.now();
        let decision = decide(&agent.observed, &agent.memory, now);
        agent.memory = decision.memory.clone();
        decisions.inc();
        actions.inc_by(decision.actions.len() as u64);
        agent.note_good_start(now);
        agent.tell(&decision, &mut told, &publisher, now);
        agent.tell_news(&decision, now);
        agent.carry_out(&decision).await;
        tracing::trace!(phase = ?decision.phase, needs = ?decision.needs, hint = ?agent.observed.hint, "turn");
        needs = decision.needs;
        let wait = agent.until(decision.next_check);
        events.wait(wait, &mut server.leaves, &mut agent.hooks).await;
    }
}

fn unspecified(config: &Config) -> std::net::IpAddr {
    if config.pod_ip.is_ipv6() {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    }
}

/// What wakes the loop before its time.
struct Events {
    launcher: watch::Receiver<server::LauncherState>,
    hint: watch::Receiver<Option<muster_membership::Workload>>,
}

impl Events {
    async fn wait(
        &mut self,
        wait: std::time::Duration,
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

/// What was told last, so that only changes are told.
#[derive(Default)]
struct Told {
    phase: Option<Phase>,
    why: String,
    since: String,
}

impl Agent {
    /// etcd serves: its image and settings can open this data.
    fn note_good_start(&mut self, now: Time) {
        let serves = self
            .observed
            .local
            .fresh(now)
            .is_some_and(|status| status.leader.is_some());
        let settings = self.settings();
        let known = self
            .volume
            .as_ref()
            .is_some_and(|v| v.identity().last_good.as_ref() == Some(&settings));
        if serves
            && !known
            && let Err(error) = self.update_volume(|id| id.last_good = Some(settings))
        {
            tracing::warn!(%error, "the settings that serve could not be noted on the volume");
        }
    }

    fn tell(&self, decision: &Decision, told: &mut Told, publisher: &Publisher, now: Time) {
        if let Some(phase) = decision.phase {
            if told.phase != Some(phase) || told.why != decision.why {
                tracing::info!(?phase, "{}", decision.why);
                told.since = report::wall_clock();
                told.why.clone_from(&decision.why);
                for hook in &self.hooks {
                    hook.progress(decision.why.clone());
                }
            }
            told.phase = Some(phase);
        }
        let Some(phase) = told.phase else { return };
        let status = self.observed.local.fresh(now);
        let identity = status
            .map(|s| s.identity)
            .or(self.observed.disk.wal)
            .or(self.observed.disk.join);
        let list = self.observed.local_list.as_ref();
        let quorum = self.quorum(now);
        let voters = list.map_or(0, |l| l.voters().count());
        let member_id = identity.map(|id| HexId(id.member.0));
        publisher.seat.send_if_modified(|entry| {
            let next = SeatStatus {
                name: self.config.pod.clone(),
                phase: seat_phase(phase),
                reason: String::new(),
                why: told.why.clone(),
                member_id,
                quorum,
                voters: i32::try_from(voters).unwrap_or(i32::MAX),
            };
            entry.replace(next.clone()) != Some(next)
        });
        let leads = status.filter(|s| s.leader == Some(s.identity.member));
        publisher.leader.send_if_modified(|view| {
            let next = leads.zip(list).map(|(s, list)| LeaderView {
                cluster_id: HexId(s.identity.cluster.0),
                leader: self.config.pod.clone(),
                members: list
                    .members
                    .iter()
                    .map(|(id, m)| MemberStatus {
                        id: HexId(id.0),
                        name: m.name.clone(),
                        peer_url: m.peer_urls.first().cloned().unwrap_or_default(),
                        role: if m.learner { Role::Learner } else { Role::Voter },
                        started: m.started(),
                    })
                    .collect(),
            });
            std::mem::replace(view, next.clone()) != next
        });
        self.report.send_replace(Some(StatusReport {
            cluster: self.config.cluster.clone(),
            seat: self.observed.me.seat.0,
            pod: self.config.pod.clone(),
            pod_uid: self.config.pod_uid.clone(),
            volume: self.observed.me.volume.clone(),
            // What cannot be read is not known to be empty.
            has_data: self.observed.disk.wal.is_some() || self.has_claimed() || self.observed.disk.unreadable.is_some(),
            member_id,
            cluster_id: identity.map(|id| HexId(id.cluster.0)),
            phase: seat_phase(phase),
            reason: String::new(),
            why: told.why.clone(),
            since: told.since.clone(),
            quorum,
            voters: u32::try_from(voters).unwrap_or(u32::MAX),
            leader: status.and_then(|s| s.leader).map(|id| HexId(id.0)),
            wanted_seats: match self.observed.hint {
                Some(muster_membership::Workload::Wants(wanted)) => Some(wanted.0),
                _ => None,
            },
            terminating: !self.hooks.is_empty(),
            version: self.version.clone(),
            snapshot_bytes: self.snapshot_bytes(),
        }));
    }

    /// The volume has claimed to found the cluster: nobody else may take the cluster for lost.
    fn has_claimed(&self) -> bool {
        self.volume.as_ref().is_some_and(|v| v.identity().claim.is_some())
    }

    /// Whether own etcd sees a quorum.
    fn quorum(&self, now: Time) -> Quorum {
        let status = self.observed.local.fresh(now);
        match (self.observed.launcher, status, self.observed.leaderless_since) {
            (Launcher::Running, Some(s), _) if s.leader.is_some() => Quorum::Ok,
            // Without an answer, too: an etcd that has found no leader since it started serves no clients.
            (Launcher::Running, _, Some(since)) if now.since(since) >= timing::ELECTION_TIME => Quorum::Lost,
            _ => Quorum::Unknown,
        }
    }

    /// Events about where the seat stands.
    fn tell_news(&mut self, decision: &Decision, now: Time) {
        let Some(phase) = decision.phase else { return };
        let (quorum, seat) = (self.quorum(now), self.observed.me.seat);
        for news in self.chronicle.stands(phase, quorum, &decision.why, seat, now) {
            self.events.tell(news);
        }
    }

    /// Bytes of snapshot files, those still being received included; counted while it matters.
    fn snapshot_bytes(&self) -> u64 {
        let learns = self.observed.local.seen.as_ref().is_some_and(|(_, s)| s.learner);
        if !learns {
            return 0;
        }
        let snap = self.config.volume.join("data").join("member").join("snap");
        let files = std::fs::read_dir(snap).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|m| m.len()).sum()
    }
}

fn seat_phase(phase: Phase) -> SeatPhase {
    match phase {
        Phase::Waiting => SeatPhase::Waiting,
        Phase::Founding => SeatPhase::Founding,
        Phase::Joining => SeatPhase::Joining,
        Phase::Learner => SeatPhase::Learner,
        Phase::Voter => SeatPhase::Voter,
        Phase::Leaving => SeatPhase::Leaving,
        Phase::Left => SeatPhase::Left,
        Phase::Refused => SeatPhase::Refused,
        Phase::Lost => SeatPhase::Lost,
    }
}
