//! Changes of the membership: each asked of the leader, each with its outcome noted.

use muster_membership::{ClusterId, Identity, MemberId, Reading};

use super::volume::opened;
use crate::etcd::Failure;
use crate::sidecar::agent::Agent;
use crate::volume::JoinRecord;

impl Agent {
    /// Adds this seat as a learner, and notes the member on the volume.
    pub(super) async fn add_learner(&mut self) -> anyhow::Result<()> {
        let (cluster, url) = self.change_endpoint()?;
        // A member that cannot be noted would be taken for another volume's, and removed again.
        if let Err(error) = opened(&mut self.volume)?.rewrite() {
            return self.record_outcome(Err(Failure::Refused(format!("the volume cannot be written: {error}"))));
        }
        let peer_url = self.observed.me.peer_url.clone();
        self.forget_list();
        let added = self.etcd.add_learner(&url, cluster, &peer_url).await;
        let member = self.record_outcome(added)?;
        let join = JoinRecord {
            member_id: member.0,
            cluster_id: cluster.0,
        };
        self.update_volume(|id| id.join = Some(join))
    }

    pub(super) async fn promote(&mut self, member: MemberId) -> anyhow::Result<()> {
        let (cluster, url) = self.change_endpoint()?;
        self.forget_list();
        let promoted = self.etcd.promote(&url, cluster, member).await;
        self.record_outcome(promoted)
    }

    pub(super) async fn remove(&mut self, member: MemberId) -> anyhow::Result<()> {
        let (cluster, url) = self.change_endpoint()?;
        self.forget_list();
        let own = self.observed.local.seen.as_ref().map(|(_, s)| s.identity.member);
        if own == Some(member) {
            // Removal ends etcd; without a launcher that listens, its container restarts once more.
            _ = self.launcher.send_leaving();
        }
        let removed = self.etcd.remove(&url, cluster, member).await;
        self.record_outcome(removed)
    }

    pub(super) async fn move_leader(&mut self, to: MemberId) -> anyhow::Result<()> {
        let url = self.local_url();
        let Some((_, own)) = &self.observed.local.seen else {
            anyhow::bail!("the local etcd is not known any more");
        };
        let cluster = own.identity.cluster;
        // Answers on their way name the leader of before.
        self.requests.forget_statuses();
        let moved = self.etcd.move_leader(&url, cluster, to).await;
        self.record_outcome(moved)
    }

    /// Notes a refusal, for the sentence that people read.
    fn record_outcome<T>(&mut self, outcome: Result<T, Failure>) -> anyhow::Result<T> {
        self.observed.refusal = match &outcome {
            Ok(_) => None,
            Err(Failure::Refused(why) | Failure::Unknown(why)) => Some(why.clone()),
        };
        Ok(outcome?)
    }

    /// The cluster, and the client URL of its leader, which decides changes of membership and answers at once.
    fn change_endpoint(&mut self) -> anyhow::Result<(ClusterId, String)> {
        let cluster = match &self.observed.list.seen {
            Some((_, list)) => list.cluster,
            None => anyhow::bail!("the members are not known"),
        };
        let leader = self.observed.leader_of(cluster, self.now());
        let Some(url) = leader.and_then(|member| self.url_of(Identity { member, cluster })) else {
            // The next look asks the peers for the leader; this step is not tried again before that.
            self.observed.peers = Reading::default();
            return self.record_outcome(Err(Failure::Refused("the leader does not answer".into())));
        };
        Ok((cluster, url))
    }
}
