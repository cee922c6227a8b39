//! Acting: each step of a decision, in order; the first that does not surely succeed ends the list.

use muster_membership::founding_cluster_id;
use muster_membership::{Action, ArchiveReason, ClusterId, Decision, Reading, StartPlan};

use crate::etcd::Failure;
use crate::sidecar::agent::{Agent, new_token};
use crate::volume::{Archiving, Claim, JoinRecord, Tombstone, Volume};

/// How many archives stay, and below how many per cent of free disk the newest goes too.
const KEEP: usize = 1;
const MIN_FREE: u8 = 5;

impl Agent {
    /// Carries out a decision.
    pub(crate) async fn carry_out(&mut self, decision: &Decision) {
        let decided = self.now();
        for action in &decision.actions {
            // What was decided a while ago was decided about another world: look again.
            if self.now().since(decided) > muster_membership::timing::FRESHNESS {
                return;
            }
            // A step forgets what it was decided from.
            let news = crate::kubernetes::events::log::of_step(action, &self.observed, &decision.why);
            match self.step(action, &decision.why).await {
                Ok(()) => {
                    self.setback = None;
                    tracing::info!(?action, "done");
                    let now = self.now();
                    if let Some(news) = self.chronicle.done(action, news, now) {
                        self.events.tell(news);
                    }
                }
                Err(error) => {
                    let setback = Some((action.clone(), error.to_string()));
                    // Tried again and again, and told once.
                    if self.setback == setback {
                        tracing::debug!(?action, %error, "not done again");
                    } else {
                        tracing::info!(?action, %error, "not done");
                        self.setback = setback;
                    }
                    return;
                }
            }
        }
    }

    async fn step(&mut self, action: &Action, why: &str) -> anyhow::Result<()> {
        match action {
            Action::ClaimBirth { token, cluster } => {
                let (me, claim) = (
                    self.observed.me.clone(),
                    Claim {
                        token: token.clone(),
                        cluster_id: cluster.0,
                    },
                );
                self.observed.birth = Reading::default();
                self.observed.token = new_token(&self.config);
                self.update_volume(|id| id.claim = Some(claim))?;
                // Before the record says so: who reads there of the claim must find it here.
                self.report
                    .send_modify(|report| report.iter_mut().for_each(|report| report.has_data = true));
                Ok(self.birth.claim(token, me.seat, &me.volume, *cluster).await?)
            }
            Action::MarkFormed => {
                self.observed.birth = Reading::default();
                Ok(self.birth.mark_formed().await?)
            }
            Action::RepublishBirth { cluster } => {
                self.observed.birth = Reading::default();
                Ok(self.birth.republish(*cluster).await?)
            }
            Action::Start(plan) => self.start(plan),
            Action::AddLearner => {
                let (cluster, url) = self.change_endpoint()?;
                // A member that cannot be noted would be taken for another volume's, and removed again.
                if let Err(error) = opened(&mut self.volume)?.rewrite() {
                    return self.settle(Err(Failure::Refused(format!("the volume cannot be written: {error}"))));
                }
                let peer_url = self.observed.me.peer_url.clone();
                self.forget_list();
                let added = self.etcd.add_learner(&url, &peer_url).await;
                let member = self.settle(added)?;
                let join = JoinRecord {
                    member_id: member.0,
                    cluster_id: cluster.0,
                };
                self.update_volume(|id| id.join = Some(join))
            }
            Action::Promote { member } => {
                let (_, url) = self.change_endpoint()?;
                self.forget_list();
                let promoted = self.etcd.promote(&url, *member).await;
                self.settle(promoted)
            }
            Action::Remove { member } => {
                let (_, url) = self.change_endpoint()?;
                self.forget_list();
                if self
                    .observed
                    .local
                    .seen
                    .as_ref()
                    .is_some_and(|(_, s)| s.identity.member == *member)
                {
                    // Removal ends etcd; without a launcher that listens, its container restarts once more.
                    _ = self.link.send_leaving();
                }
                let removed = self.etcd.remove(&url, *member).await;
                self.settle(removed)
            }
            Action::MoveLeader { to } => {
                let url = self.local_url();
                // Who leads is another one afterwards.
                self.questions.forget_statuses();
                let moved = self.etcd.move_leader(&url, *to).await;
                self.settle(moved)
            }
            Action::Tombstone => {
                let wal = self.observed.disk.wal;
                self.update_volume(|id| {
                    id.tombstone = wal.map(|w| Tombstone {
                        member_id: w.member.0,
                        cluster_id: w.cluster.0,
                    });
                })
            }
            Action::NoteWal => self.update_volume(|id| id.wal_seen = true),
            Action::Archive(reason) => self.archive(*reason, why),
            Action::PruneArchives => {
                opened(&mut self.volume)?.prune(KEEP, MIN_FREE)?;
                Ok(())
            }
            Action::ReleaseHook { left } => {
                for hook in self.hooks.drain(..) {
                    hook.done(*left, why);
                }
                Ok(())
            }
        }
    }

    /// Notes what was refused, for the sentence that people read.
    fn settle<T>(&mut self, result: Result<T, Failure>) -> anyhow::Result<T> {
        self.observed.refusal = match &result {
            Ok(_) => None,
            Err(Failure::Refused(why) | Failure::Unknown(why)) => Some(why.clone()),
        };
        Ok(result?)
    }

    /// Where changes of membership go: the leader, who decides them and answers at once.
    fn change_endpoint(&mut self) -> anyhow::Result<(ClusterId, String)> {
        let cluster = match &self.observed.list.seen {
            Some((_, list)) => list.cluster,
            None => anyhow::bail!("the members are not known"),
        };
        let leader = self.observed.leader_of(cluster, self.now());
        let Some(url) = leader.and_then(|leader| self.url_of(leader)) else {
            // It is asked who leads, and then not at once again.
            self.observed.peers = Reading::default();
            return self.settle(Err(Failure::Refused("the leader does not answer".into())));
        };
        Ok((cluster, url))
    }

    fn start(&mut self, plan: &StartPlan) -> anyhow::Result<()> {
        if let StartPlan::New { token } = plan {
            // The record may hold an earlier attempt's claim, whose write seemed lost: what it says counts.
            let claim = Claim {
                token: token.clone(),
                cluster_id: founding_cluster_id(&self.observed.me.peer_url, token).0,
            };
            self.update_volume(|id| id.claim = Some(claim))?;
            self.set_unborn_aside()?;
        }
        let me = &self.observed.me;
        let mut args = self.config.etcd_flags(&me.peer_url)?;
        let alone = format!("{}={}", me.name, me.peer_url);
        match plan {
            StartPlan::New { token } => {
                args.push(format!("--initial-cluster={alone}"));
                args.push("--initial-cluster-state=new".into());
                args.push(format!("--initial-cluster-token={token}"));
            }
            StartPlan::Existing { initial_cluster } => {
                let members: Vec<_> = initial_cluster
                    .iter()
                    .map(|(name, url)| format!("{name}={url}"))
                    .collect();
                args.push(format!("--initial-cluster={}", members.join(",")));
                args.push("--initial-cluster-state=existing".into());
            }
            StartPlan::Resume => {
                args.push(format!("--initial-cluster={alone}"));
                args.push("--initial-cluster-state=existing".into());
            }
        }
        self.next_plan += 1;
        let data = self.config.volume.join("data");
        Ok(self.link.send_start(self.next_plan, args, data)?)
    }

    /// etcd would resume from a log, even one of a start that was cut short before its first write.
    fn set_unborn_aside(&mut self) -> anyhow::Result<()> {
        let volume = opened(&mut self.volume)?;
        if !volume.is_unborn()? {
            return Ok(());
        }
        let found = volume.wal_metadata()?;
        let archiving = Archiving {
            reason: "unborn".into(),
            why: "etcd was ended before it had written anything: the founding begins again".into(),
            at: crate::sidecar::observe::peers::wall_clock(),
            member_id: found.map(|m| m.node_id),
            cluster_id: found.map(|m| m.cluster_id),
            random: rand::random(),
            discarded_corrupt: self.observed.disk.corrupt_before,
        };
        match volume.archive_unborn(archiving) {
            Ok(_) => tracing::info!("a log without a single commit is set aside"),
            Err(error) => {
                // Opening it again finishes what was begun.
                self.volume = None;
                return Err(error.into());
            }
        }
        if let Err(error) = volume.prune_unborn() {
            tracing::warn!(%error, "older logs without a commit could not be deleted");
        }
        Ok(())
    }

    fn archive(&mut self, reason: ArchiveReason, why: &str) -> anyhow::Result<()> {
        let wal = self.observed.disk.wal.or(self.observed.disk.join);
        let volume = opened(&mut self.volume)?;
        let archiving = Archiving {
            reason: reason.to_string(),
            why: why.to_owned(),
            at: crate::sidecar::observe::peers::wall_clock(),
            member_id: wal.map(|w| w.member.0),
            cluster_id: wal.map(|w| w.cluster.0),
            random: rand::random(),
            discarded_corrupt: self.observed.disk.corrupt_before || reason == ArchiveReason::Corrupt,
        };
        let result = volume.archive(archiving);
        if result.is_err() {
            // Opening it again finishes what was begun.
            self.volume = None;
        }
        result?;
        Ok(())
    }

    pub(crate) fn update_volume(&mut self, change: impl FnOnce(&mut crate::volume::Identity)) -> anyhow::Result<()> {
        let volume = opened(&mut self.volume)?;
        Ok(volume.update(change)?)
    }
}

fn opened(volume: &mut Option<Volume>) -> anyhow::Result<&mut Volume> {
    volume.as_mut().ok_or_else(|| anyhow::anyhow!("the volume is not open"))
}
