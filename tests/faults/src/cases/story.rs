//! The stories: what a cluster is about to do when a fault strikes.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use muster_api::birth::BirthRecord;
use rustix::process::Signal;

use super::large;
use crate::cluster::Cluster;
use crate::cluster::templates::Templates;
use crate::run::Kit;
use crate::stage::gate::{Moment, Party, Verdict};
use crate::wait::secs;

/// The story of a case: what the cluster is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Story {
    /// Two seats without data: seat 0 founds, seat 1 joins.
    Found,
    /// Seat 2 joins two members.
    Join,
    /// Seat 2, one of three, has lost its volume and is replaced.
    Replace,
    /// Seat 2, which leads, is scaled away by the StatefulSet: it leaves by its hook.
    Hook,
    /// Seat 2 is scaled away by the operator: it leaves while its pod lives.
    Target,
    /// Seat 2's pod is replaced by one on the same volume.
    Resume,
    /// Seat 2 is wanted again, and has the volume of its removed member.
    Rejoin,
    /// Seat 2 was scaled away and its hook never ran: the leader's agent, of seat 0, tidies up.
    Tidy,
    /// Seat 3 joins, and its agent hangs: the leader's agent, of seat 0, promotes it.
    Promote,
    /// Seat 3 is registered, and its etcd never starts: the leader's agent, of seat 0, evicts it
    /// when its patience ends.
    Evict,
    /// The birth record is gone when seat 3 wants to join: the leader's agent, of seat 0, writes it.
    Republish,
    /// Seat 2 joins two members that have a large database, over a slow link.
    Large,
}

impl Story {
    /// The seat that takes the steps.
    pub(crate) fn subject(self) -> u32 {
        match self {
            Self::Found | Self::Tidy | Self::Promote | Self::Evict | Self::Republish => 0,
            _ => 2,
        }
    }

    /// The number of members before; 0 is a cluster that was never founded.
    pub(crate) fn members_before(self) -> u32 {
        match self {
            Self::Found => 0,
            Self::Join | Self::Rejoin | Self::Large => 2,
            _ => 3,
        }
    }

    /// The number of members that there shall be at the end.
    pub(crate) fn members_after(self) -> u32 {
        match self {
            Self::Found | Self::Hook | Self::Target | Self::Tidy => 2,
            Self::Join | Self::Replace | Self::Resume | Self::Rejoin | Self::Large => 3,
            Self::Promote | Self::Evict | Self::Republish => 4,
        }
    }

    /// The time within which its steps come.
    pub(crate) fn lasts(self) -> Duration {
        match self {
            // Patience with a learner is two minutes.
            Self::Evict => secs(180),
            Self::Large => large::LASTS,
            _ => secs(45),
        }
    }

    /// The time from the fault's end within which the cluster must be at rest.
    pub(crate) fn heals_within(self) -> Duration {
        if self == Self::Large { large::LASTS } else { secs(90) }
    }

    /// The seat that leads before.
    pub(crate) fn leader_before(self) -> u32 {
        if self == Self::Hook { 2 } else { 0 }
    }

    /// The cluster before, its pods not yet started.
    pub(crate) async fn cluster(
        self,
        kit: &Rc<Kit>,
        templates: &Templates,
        slot: u8,
        folder: PathBuf,
    ) -> Result<Rc<Cluster>> {
        let cluster = match self.members_before() {
            0 => Cluster::new(kit, slot, folder, 2, &BirthRecord::unclaimed("", true)).await,
            2 => templates.two.copy(kit, slot, folder).await,
            _ => templates.three.copy(kit, slot, folder).await,
        }?;
        if self == Self::Large {
            cluster.options.set(large::OPTIONS);
        }
        Ok(cluster)
    }

    /// Begins what the story is about.
    pub(crate) async fn begin(self, cluster: &Rc<Cluster>) -> Result<()> {
        match self {
            Self::Found => cluster.ensure_pods(),
            Self::Join => cluster.scale(3),
            Self::Replace => {
                cluster.lose_pod(2, |volumes| drop(volumes.lose(2))).await?;
                cluster.ensure_pods()
            }
            Self::Hook => cluster.scale(2),
            Self::Target => cluster.shrink(2),
            Self::Resume => {
                cluster.lose_pod(2, |_| ()).await?;
                cluster.ensure_pods()
            }
            Self::Rejoin => {
                cluster.volumes.borrow_mut().give_old(2);
                cluster.scale(3)
            }
            Self::Tidy => {
                cluster.lose_pod(2, |_| ()).await?;
                cluster.scale(2)
            }
            Self::Promote => {
                self.hang_the_joiner(cluster);
                cluster.scale(4)
            }
            Self::Evict => {
                self.keep_the_joiner_from_starting(cluster);
                cluster.scale(4)
            }
            Self::Republish => {
                cluster.objects.delete_birth();
                cluster.scale(4)
            }
            Self::Large => {
                large::prepare(cluster, 2).await?;
                cluster.scale(3)
            }
        }
    }

    /// The agent of seat 3 hangs in the moment in which it asks for its promotion.
    fn hang_the_joiner(self, cluster: &Rc<Cluster>) {
        let caught = cluster.gate.trap(|passage| {
            passage.from == Party::Seat(3) && passage.what == "MemberPromote" && passage.moment == Moment::Asked
        });
        let cluster = cluster.clone();
        tokio::task::spawn_local(async move {
            let Ok(caught) = caught.await else { return };
            if let Some(worker) = cluster.pod(3).ok().and_then(|pod| pod.worker()) {
                worker.signal(Signal::STOP);
            }
            caught.release(Verdict::Lose);
        });
    }

    /// The etcd of seat 3 stands at the door until the story ends.
    fn keep_the_joiner_from_starting(self, cluster: &Rc<Cluster>) {
        let caught = cluster
            .gate
            .trap(|passage| passage.from == Party::Seat(3) && passage.what.starts_with("start etcd"));
        let cluster = cluster.clone();
        tokio::task::spawn_local(async move {
            if let Ok(caught) = caught.await {
                cluster.kept.replace(Some(caught));
            }
        });
    }

    /// Lets what hung go on, now that others have done its work.
    pub(crate) fn end(self, cluster: &Cluster) {
        if let Some(kept) = cluster.kept.take() {
            kept.release(Verdict::Pass);
        }
        if self == Self::Promote
            && let Some(worker) = cluster.pod(3).ok().and_then(|pod| pod.worker())
        {
            worker.signal(Signal::CONT);
        }
    }
}
