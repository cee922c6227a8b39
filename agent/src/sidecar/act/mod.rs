//! Acting: each step of a decision, in order; the first that does not surely succeed ends the list.

mod members;
mod start;
mod volume;

use muster_membership::timing::FRESHNESS;
use muster_membership::{Action, ClusterId, Decision, Reading};

use super::agent::{Agent, new_token};
use super::observe::refusal;
use crate::kubernetes::LeaderView;
use crate::kubernetes::events::log::event_of_step;
use crate::volume::FoundingClaim;

impl Agent {
    /// Carries out a decision.
    pub(crate) async fn carry_out(&mut self, decision: &Decision) {
        let decided = self.now();
        for action in &decision.actions {
            // A decision of a while ago was made from another world: look again.
            if self.now().since(decided) > FRESHNESS {
                return;
            }
            // A step forgets what it was decided from.
            let event = event_of_step(action, &self.observed, &decision.why);
            match self.act(action, &decision.why).await {
                Ok(()) => {
                    self.setback = None;
                    tracing::info!(?action, "done");
                    let now = self.now();
                    if let Some(event) = self.event_log.step_done(action, event, now) {
                        self.events.send(event);
                    }
                }
                Err(error) => {
                    self.note_setback(action, refusal(&error));
                    return;
                }
            }
        }
    }

    /// Logs a step that was not done; one that fails again and again in the same way, once.
    fn note_setback(&mut self, action: &Action, error: String) {
        let setback = Some((action.clone(), error));
        let Some((_, error)) = &setback else { return };
        let known = self.setback.as_ref().is_some_and(|(before, words)| {
            // The token of a claim is another one each time.
            words == error && std::mem::discriminant(before) == std::mem::discriminant(action)
        });
        if known {
            tracing::debug!(?action, %error, "not done again");
        } else {
            tracing::info!(?action, %error, "not done");
            self.setback = setback;
        }
    }

    async fn act(&mut self, action: &Action, why: &str) -> anyhow::Result<()> {
        match action {
            Action::ClaimBirth { token, cluster } => self.claim_birth(token, *cluster).await,
            Action::MarkFormed => {
                self.observed.birth = Reading::default();
                Ok(self.birth.mark_formed().await?)
            }
            Action::RepublishBirth { cluster } => {
                self.observed.birth = Reading::default();
                Ok(self.birth.republish(*cluster).await?)
            }
            Action::PublishMembers => self.publish_members().await,
            Action::Start(plan) => self.start(plan),
            Action::AddLearner => self.add_learner().await,
            Action::Promote { member } => self.promote(*member).await,
            Action::Remove { member } => self.remove(*member).await,
            Action::MoveLeader { to } => self.move_leader(*to).await,
            Action::Tombstone => self.note_tombstone(),
            Action::NoteWal => self.update_volume(|id| id.wal_seen = true),
            Action::Archive(reason) => self.archive(*reason, why),
            Action::PruneArchives => self.prune_archives(),
            Action::ReleaseHook { left } => {
                for hook in self.hooks.drain(..) {
                    hook.done(*left, why);
                }
                Ok(())
            }
        }
    }

    /// Publishes the members for the leader's agent. A change since the read is the leader's agent, or tried again.
    async fn publish_members(&mut self) -> anyhow::Result<()> {
        let published = std::mem::take(&mut self.observed.published).seen;
        let cluster = self.workload.cluster().borrow().clone();
        let leader = self.observed.local.seen.as_ref().and_then(|(_, status)| status.leader);
        let (Some((_, Some(published))), Some((_, list)), Some(cluster), Some(leader)) =
            (published, &self.observed.list.seen, cluster, leader)
        else {
            anyhow::bail!("what is to be published is not known any more");
        };
        let leader = list.members.get(&leader).map(|member| member.name.clone());
        let view = LeaderView::new(list, leader.unwrap_or_default());
        self.api.publish_members(&cluster, &view, &published.version).await
    }

    /// Claims the birth record, first on the volume and then in the record.
    async fn claim_birth(&mut self, token: &str, cluster: ClusterId) -> anyhow::Result<()> {
        let me = self.observed.me.clone();
        let claim = FoundingClaim {
            token: token.to_owned(),
            cluster_id: cluster.0,
        };
        self.observed.birth = Reading::default();
        self.observed.token = new_token(&self.config);
        self.update_volume(|id| id.claim = Some(claim))?;
        // Before the record names the claim: another agent that reads it there must find data reported here.
        self.report
            .send_modify(|report| report.iter_mut().for_each(|report| report.has_data = true));
        Ok(self.birth.claim(token, me.seat, &me.volume, cluster).await?)
    }
}
