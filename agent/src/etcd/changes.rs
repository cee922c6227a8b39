//! Changes of the membership: each is asked of one cluster, by its ID.
//!
//! An address may be another cluster's by now. So the endpoint is asked which cluster it is of right before the
//! change, over the same connection, and the answer to the change has to come from that cluster, too. Whatever is not
//! a success is settled by listing again: "member not found", for one, is also what another cluster says.

use std::time::Duration;

use etcd_client::{
    Client, MemberAddOptions, MemberAddResponse, MemberPromoteResponse, MemberRemoveResponse, MoveLeaderResponse,
    ResponseHeader,
};
use muster_membership::{ClusterId, MemberId};

use super::{Etcd, Failure};

/// Time that an endpoint gets to say which cluster it is of; etcd answers from memory.
const CONFIRM_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Time that a change of membership gets before its outcome is learnt by listing again.
const CHANGE_TIMEOUT: Duration = Duration::from_millis(5_000);

impl Etcd {
    /// Adds a learner to `cluster`; returns its ID.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn add_learner(&self, url: &str, cluster: ClusterId, peer_url: &str) -> Result<MemberId, Failure> {
        let options = MemberAddOptions::new().with_is_learner();
        let peer = peer_url.to_owned();
        let add = |mut client: Client| async move { client.member_add([peer], Some(options)).await };
        let reply = self.change(url, cluster, add, MemberAddResponse::header).await?;
        reply
            .member()
            .map(|m| MemberId(m.id()))
            .ok_or_else(|| Failure::Unknown("an answer without the member".into()))
    }

    /// Removes a member of `cluster`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn remove(&self, url: &str, cluster: ClusterId, member: MemberId) -> Result<(), Failure> {
        let remove = |mut client: Client| async move { client.member_remove(member.0).await };
        let removed = self.change(url, cluster, remove, MemberRemoveResponse::header).await;
        removed.map(drop)
    }

    /// Promotes a learner of `cluster`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn promote(&self, url: &str, cluster: ClusterId, member: MemberId) -> Result<(), Failure> {
        let promote = |mut client: Client| async move { client.member_promote(member.0).await };
        let promoted = self.change(url, cluster, promote, MemberPromoteResponse::header).await;
        promoted.map(drop)
    }

    /// Moves the leadership of `cluster`; `url` must be the leader's.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn move_leader(&self, url: &str, cluster: ClusterId, to: MemberId) -> Result<(), Failure> {
        let hand_on = |mut client: Client| async move { client.move_leader(to.0).await };
        let moved = self.change(url, cluster, hand_on, MoveLeaderResponse::header).await;
        moved.map(drop)
    }

    /// Makes one change: the endpoint is asked for its cluster before, and the answer for its own after.
    async fn change<T, F>(
        &self,
        url: &str,
        cluster: ClusterId,
        request: impl FnOnce(Client) -> F,
        header: fn(&T) -> Option<&ResponseHeader>,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        self.confirm(url, cluster).await?;
        let reply = self.ask(url, CHANGE_TIMEOUT, request).await?;
        check(url, cluster, header(&reply))?;
        Ok(reply)
    }

    /// Makes sure that the endpoint is of `cluster`.
    async fn confirm(&self, url: &str, cluster: ClusterId) -> Result<(), Failure> {
        let list = self
            .ask(
                url,
                CONFIRM_TIMEOUT,
                |mut client| async move { client.member_list().await },
            )
            .await?;
        check(url, cluster, list.header())
    }
}

/// Compares the cluster that answered with the one that was meant.
fn check(url: &str, meant: ClusterId, header: Option<&ResponseHeader>) -> Result<(), Failure> {
    match header.map(|header| ClusterId(header.cluster_id())) {
        Some(cluster) if cluster == meant => Ok(()),
        Some(cluster) => Err(Failure::Unknown(format!(
            "{url} is of cluster {cluster} by now, and not of {meant}"
        ))),
        None => Err(Failure::Unknown("an answer without a header".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::mock_etcd::{Answer, MockEtcd};

    const OURS: ClusterId = ClusterId(1);
    const ANOTHER: ClusterId = ClusterId(2);
    const MEMBER: MemberId = MemberId(7);

    /// The outcome of each kind of change at `etcd`.
    async fn changes(etcd: &MockEtcd) -> [Result<(), Failure>; 4] {
        let (client, url) = (Etcd::default(), etcd.url());
        [
            client.add_learner(&url, OURS, "http://c-1:2380").await.map(drop),
            client.remove(&url, OURS, MEMBER).await,
            client.promote(&url, OURS, MEMBER).await,
            client.move_leader(&url, OURS, MEMBER).await,
        ]
    }

    #[tokio::test]
    async fn a_change_is_not_asked_of_another_cluster() {
        let etcd = MockEtcd::start(|_| Answer::From(ANOTHER)).await;
        for outcome in changes(&etcd).await {
            assert!(matches!(outcome, Err(Failure::Unknown(_))), "{outcome:?}");
        }
        let asked = etcd.asked();
        assert!(asked.iter().all(|path| path.ends_with("/MemberList")), "{asked:?}");
    }

    #[tokio::test]
    async fn a_change_that_another_cluster_answers_is_no_success() {
        // The address changes hands in between.
        let etcd =
            MockEtcd::start(|path| Answer::From(if path.ends_with("/MemberList") { OURS } else { ANOTHER })).await;
        for outcome in changes(&etcd).await {
            assert!(matches!(outcome, Err(Failure::Unknown(_))), "{outcome:?}");
        }
        assert_eq!(etcd.asked().len(), 8);
    }

    #[tokio::test]
    async fn a_change_that_the_own_cluster_answers_is_done() {
        let etcd = MockEtcd::start(|_| Answer::From(OURS)).await;
        assert_eq!(changes(&etcd).await, [Ok(()), Ok(()), Ok(()), Ok(())]);
    }

    #[tokio::test]
    async fn a_member_that_is_not_found_is_not_known_to_be_removed() {
        let etcd = MockEtcd::start(|path| match path.ends_with("/MemberList") {
            true => Answer::From(OURS),
            false => Answer::Refusal("etcdserver: member not found"),
        })
        .await;
        let outcome = Etcd::default().remove(&etcd.url(), OURS, MEMBER).await;
        assert_eq!(outcome, Err(Failure::Refused("etcdserver: member not found".into())));
    }
}
