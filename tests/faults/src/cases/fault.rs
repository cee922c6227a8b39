//! The faults, and the way in which each strikes.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::seam::Seam;
use super::step::Step;
use crate::cluster::volumes::Volumes;
use crate::cluster::{Cluster, etcd};
use crate::stage::gate::{Moment, Party, Verdict};
use crate::stage::processes::Process;
use crate::wait::{secs, until};

/// A fault that strikes a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The subject's agent is killed.
    KillAgent,
    /// The subject's etcd is killed, or its container while no etcd runs.
    KillEtcd,
    /// All processes of the subject's pod are killed.
    KillBoth,
    /// The leader's etcd stands still for a while.
    PauseEtcd,
    /// The request, or the reply after it was carried out, is lost.
    Lose,
    /// No seat reaches the API server for a while.
    CutApi,
    /// The subject's pod and its volume are lost; a new pod comes with an empty one.
    Wipe,
    /// The subject's pod is lost; a new one comes with the volume of a member that was removed.
    StaleVolume,
    /// The subject's pod is replaced; for a while its name stands for the old address.
    StaleDns,
    /// No name of any pod is known for a while.
    NoDns,
    /// Leadership moves to another member.
    LeaderChange,
    /// The subject is cut off from all other seats for a while.
    CutPeers,
    /// Everything from and to the subject is slow for a while.
    Slow,
}

/// All faults, in the table's order.
pub(crate) const FAULTS: [Fault; 13] = [
    Fault::KillAgent,
    Fault::KillEtcd,
    Fault::KillBoth,
    Fault::PauseEtcd,
    Fault::Lose,
    Fault::CutApi,
    Fault::Wipe,
    Fault::StaleVolume,
    Fault::StaleDns,
    Fault::NoDns,
    Fault::LeaderChange,
    Fault::CutPeers,
    Fault::Slow,
];

/// The length of a pause: longer than an election, and than the agent waits for a change of membership.
const PAUSE: Duration = secs(7);
/// The length of a cut: longer than any reading is believed.
const CUT: Duration = secs(8);
/// The time for which names are stale.
const STALE: Duration = secs(12);
/// The delay of everything while it is slow.
const DELAY: Duration = Duration::from_millis(700);

/// The end of a fault: what has to be put right again.
pub(crate) enum Aftermath {
    Nothing,
    Continue(Process),
    JoinApi,
    JoinPeers(u32),
    TrueNames,
    NotSlow,
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KillAgent => "kill-agent",
            Self::KillEtcd => "kill-etcd",
            Self::KillBoth => "kill-both",
            Self::PauseEtcd => "pause-etcd",
            Self::Lose => "lose",
            Self::CutApi => "cut-api",
            Self::Wipe => "wipe",
            Self::StaleVolume => "stale-volume",
            Self::StaleDns => "stale-dns",
            Self::NoDns => "no-dns",
            Self::LeaderChange => "leader-change",
            Self::CutPeers => "cut-peers",
            Self::Slow => "slow",
        }
    }

    /// The fault in words, for the list and the README.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::KillAgent => "the seat's agent is killed",
            Self::KillEtcd => "the seat's etcd is killed, or its container while no etcd runs",
            Self::KillBoth => "all processes of the seat's pod are killed",
            Self::PauseEtcd => "the leader's etcd stands still for 7 s",
            Self::Lose => "the request is lost, or, where it was carried out, the reply",
            Self::CutApi => "no seat reaches the API server for 8 s",
            Self::Wipe => "the pod and its volume are lost; a new pod has an empty one",
            Self::StaleVolume => "the pod is lost; a new one has the volume of a member that was removed",
            Self::StaleDns => "the pod is replaced; for 12 s its name stands for the old address",
            Self::NoDns => "for 12 s no name of any pod is known",
            Self::LeaderChange => "leadership moves to another member",
            Self::CutPeers => "the seat is cut off from the others for 8 s",
            Self::Slow => "everything from and to the seat takes 0.7 s longer, for 8 s",
        }
    }

    /// True if the seat's member is replaced by a new one.
    pub(crate) fn replaces(self) -> bool {
        matches!(self, Self::Wipe | Self::StaleVolume)
    }

    /// Strikes, while the step is held, and says what becomes of what is held.
    pub(crate) async fn strike(self, cluster: &Rc<Cluster>, step: &Step) -> Result<(Verdict, Aftermath)> {
        let subject = step.story.subject();
        cluster.gate.note(&format!("{} strikes at {}", self.name(), step.name));
        // A request of somebody who is gone was never sent; what was carried out stays so.
        let unsent = match step.seam.moment() {
            Some(Moment::Done) => Verdict::Pass,
            _ => Verdict::Lose,
        };
        let pass = |aftermath| (Verdict::Pass, aftermath);
        let gone = |aftermath| (unsent, aftermath);
        Ok(match self {
            Self::KillAgent => {
                let worker = cluster.pod(subject)?.worker();
                worker.context("no agent runs")?.kill().await?;
                // etcd's start and its own requests are not the agent's.
                let of_agent = !matches!(step.seam, Seam::Door) && step.name != "join-members";
                (if of_agent { unsent } else { Verdict::Pass }, Aftermath::Nothing)
            }
            Self::KillEtcd => {
                let pod = cluster.pod(subject)?;
                match pod.etcd_process() {
                    Some(process) => process.kill().await?,
                    None => pod.etcd.kill_now().await?,
                }
                pass(Aftermath::Nothing)
            }
            Self::KillBoth => {
                let pod = cluster.pod(subject)?;
                let (etcd, agent) = futures::join!(pod.etcd.kill_now(), pod.agent.kill_now());
                etcd.and(agent)?;
                gone(Aftermath::Nothing)
            }
            Self::PauseEtcd => pass(Aftermath::Continue(pause_leader(cluster, subject).await?)),
            Self::Lose => (Verdict::Lose, Aftermath::Nothing),
            Self::CutApi => {
                set_api_cut(cluster, true);
                pass(Aftermath::JoinApi)
            }
            Self::Wipe => {
                replace_pod(cluster, subject, |volumes| drop(volumes.lose(subject))).await?;
                gone(Aftermath::Nothing)
            }
            Self::StaleVolume => {
                give_old_volume(cluster, subject).await?;
                gone(Aftermath::Nothing)
            }
            Self::StaleDns => {
                cluster.names.set_stale(true);
                replace_pod(cluster, subject, |_| ()).await?;
                gone(Aftermath::TrueNames)
            }
            Self::NoDns => {
                cluster.names.set_unknown();
                pass(Aftermath::TrueNames)
            }
            Self::LeaderChange => {
                change_leader(cluster).await?;
                pass(Aftermath::Nothing)
            }
            Self::CutPeers => {
                set_peers_cut(cluster, subject, true);
                pass(Aftermath::JoinPeers(subject))
            }
            Self::Slow => {
                cluster.gate.set_slow(Some((Party::Seat(subject), DELAY)));
                pass(Aftermath::NotSlow)
            }
        })
    }
}

impl Aftermath {
    /// Waits as long as the fault lasts, and ends it.
    pub(crate) async fn end(self, cluster: &Cluster) {
        let lasts = match self {
            Self::Nothing => return,
            Self::Continue(_) => PAUSE,
            Self::TrueNames => STALE,
            _ => CUT,
        };
        tokio::time::sleep(lasts).await;
        match self {
            Self::Nothing => {}
            Self::Continue(process) => process.signal(Signal::CONT),
            Self::JoinApi => set_api_cut(cluster, false),
            Self::JoinPeers(subject) => set_peers_cut(cluster, subject, false),
            Self::TrueNames => cluster.names.set_stale(false),
            Self::NotSlow => cluster.gate.set_slow(None),
        }
        cluster.gate.note("the fault is over");
    }
}

/// Seats that a case may have.
const SEATS: std::ops::Range<u32> = 0..5;

fn set_api_cut(cluster: &Cluster, cut: bool) {
    SEATS.for_each(|seat| cluster.gate.set_cut(Party::Seat(seat), Party::Api, cut));
}

fn set_peers_cut(cluster: &Cluster, subject: u32, cut: bool) {
    for other in SEATS.filter(|other| *other != subject) {
        cluster.gate.set_cut(Party::Seat(subject), Party::Seat(other), cut);
    }
}

/// Stops the leader's etcd, or the subject's if nobody leads.
async fn pause_leader(cluster: &Cluster, subject: u32) -> Result<Process> {
    let leader = until("a leader", secs(5), async || cluster.leader().await).await;
    let leader = leader.map_or(subject, |(seat, _)| seat);
    let process = cluster.pod(leader)?.etcd_process();
    let process = process.with_context(|| format!("no etcd runs in seat {leader}"))?;
    process.signal(Signal::STOP);
    Ok(process)
}

/// Loses a pod, changes its volume, and lets a new pod come.
async fn replace_pod(cluster: &Rc<Cluster>, seat: u32, change: impl FnOnce(&mut Volumes)) -> Result<()> {
    cluster.lose_pod(seat, change).await?;
    cluster.ensure_pods()
}

/// Replaces a pod by one with the volume of the seat's removed member.
async fn give_old_volume(cluster: &Rc<Cluster>, seat: u32) -> Result<()> {
    let mut given = false;
    let change = |volumes: &mut Volumes| {
        volumes.lose(seat);
        given = volumes.give_old(seat);
    };
    replace_pod(cluster, seat, change).await?;
    ensure!(given, "there is no old volume of seat {seat}");
    Ok(())
}

async fn change_leader(cluster: &Cluster) -> Result<()> {
    let (before, _) = until("a leader", secs(10), async || cluster.leader().await).await?;
    until("another leader", secs(10), async || {
        let (leader, address) = cluster.leader().await?;
        if leader != before {
            return Ok(());
        }
        for pod in cluster.pods().iter().filter(|pod| pod.spec.seat != leader) {
            let Ok(status) = etcd::status(pod.address).await else {
                continue;
            };
            if !status.learner {
                etcd::move_leader(address, status.member_id).await?;
                break;
            }
        }
        anyhow::bail!("seat {leader} leads")
    })
    .await
}
