//! Publication in the EtcdCluster's status: each agent its own seat, the leader's agent the members, and a deputy the
//! members where that agent fails. Only changes are sent; nothing depends on their arrival.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use muster_api::HexId;
use muster_api::names::{LEADER_MANAGER, agent_manager};
use muster_api::status::{MemberStatus, Role, SeatStatus};
use muster_membership::{MemberList, timing};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Kubernetes;
use crate::backoff::Backoff;

/// Time that a write gets; the operator waits for what is published.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a deputy, whose agent does nothing else meanwhile.
const DEPUTY_WRITE_TIMEOUT: Duration = Duration::from_millis(2_500);
/// First and longest pause before a write that failed is tried again; up to twice as long by chance.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(6);
/// Time after which the members are written once more, in case that an agent whose etcd had lost the lead wrote
/// after this one in the belief that its etcd still leads. That agent learns of it before: a Status counts for
/// [`timing::FRESHNESS`].
const AGAIN: Duration = Duration::from_secs(15);
const _: () = assert!(
    AGAIN.as_millis() >= timing::FRESHNESS.as_millis() + timing::READ_TIMEOUT.as_millis() + WRITE_TIMEOUT.as_millis()
);

/// The members, as the leader's agent or a deputy publishes them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LeaderView {
    pub(crate) cluster_id: HexId,
    /// The name of the leader's pod.
    pub(crate) leader: String,
    pub(crate) members: Vec<MemberStatus>,
    /// The operator's question that `members` is newer than, if it has asked: the list was read from etcd, after a
    /// linearizable read, when the question had been seen.
    pub(crate) confirmed: Option<String>,
}

impl LeaderView {
    /// The members of `list`; `leader` is the name of the leader's pod.
    pub(crate) fn new(list: &MemberList, leader: String) -> Self {
        let members = list.members.iter();
        Self {
            cluster_id: HexId(list.cluster.0),
            leader,
            members: members
                .map(|(id, m)| MemberStatus {
                    id: HexId(id.0),
                    name: m.name.clone(),
                    peer_url: m.peer_urls.first().cloned().unwrap_or_default(),
                    role: if m.learner { Role::Learner } else { Role::Voter },
                    started: m.started(),
                })
                .collect(),
            confirmed: None,
        }
    }

    /// The fields of the status that one manager owns, whichever agent writes them: a list that two managers own
    /// would hold the members of both. A definition of an earlier release does not know the answer's field, and an
    /// operator of an earlier release does not ask.
    fn fields(&self) -> serde_json::Value {
        let mut fields = serde_json::json!({
            "clusterID": self.cluster_id, "leader": self.leader, "members": self.members,
        });
        if let Some(question) = &self.confirmed {
            fields["membersConfirmed"] = question.clone().into();
        }
        fields
    }
}

impl Kubernetes {
    /// Publishes the members once, as a deputy, in the EtcdCluster of `version`: what anybody wrote since is newer.
    ///
    /// # Errors
    /// The EtcdCluster has changed since, or the API server does not answer or refuses.
    pub(crate) async fn publish_members(&self, cluster: &str, view: &LeaderView, version: &str) -> anyhow::Result<()> {
        let mut patch = patch(view.fields());
        patch["metadata"] = serde_json::json!({ "resourceVersion": version });
        let params = PatchParams::apply(LEADER_MANAGER).force();
        let patch = Patch::Apply(patch);
        let write = self.clusters.patch_status(cluster, &params, &patch);
        tokio::time::timeout(DEPUTY_WRITE_TIMEOUT, write).await??;
        Ok(())
    }
}

/// The patch of an EtcdCluster that applies these fields of its status.
fn patch(status: serde_json::Value) -> serde_json::Value {
    serde_json::json!({ "apiVersion": "etcd.etcd.io/v1alpha1", "kind": "EtcdCluster", "status": status })
}

/// Senders of what is published, at every change.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) seat: watch::Sender<Option<SeatStatus>>,
    /// The members, while this agent is beside the leader.
    pub(crate) leader: watch::Sender<Option<LeaderView>>,
}

impl Publisher {
    /// Starts publishing to the EtcdCluster that `cluster` names.
    pub(crate) fn start(api: &Kubernetes, cluster: watch::Receiver<Option<String>>) -> Self {
        let (seat, seats) = watch::channel(None);
        let (leader, leaders) = watch::channel(None);
        let manager = agent_manager(&api.config.pod);
        tokio::spawn(publish(
            api.clone(),
            cluster.clone(),
            seats,
            manager,
            None,
            |seat: &SeatStatus| serde_json::json!({ "seats": [seat] }),
        ));
        tokio::spawn(publish(
            api.clone(),
            cluster,
            leaders,
            LEADER_MANAGER.into(),
            Some(AGAIN),
            LeaderView::fields,
        ));
        Self { seat, leader }
    }
}

/// Sends each new value, and once more `again` later if it still holds.
async fn publish<T: Clone + PartialEq>(
    api: Kubernetes,
    mut cluster: watch::Receiver<Option<String>>,
    mut values: watch::Receiver<Option<T>>,
    manager: String,
    again: Option<Duration>,
    body: impl Fn(&T) -> serde_json::Value,
) {
    let mut sent: Option<(String, T)> = None;
    let mut backoff = Backoff::with_jitter(FIRST_PAUSE, LONGEST_PAUSE);
    let mut once_more: Option<Instant> = None;
    loop {
        let name = cluster.borrow_and_update().clone();
        let value = values.borrow_and_update().clone();
        let next = name.zip(value);
        let mut retry = false;
        let due = once_more.is_some_and(|at| at <= Instant::now());
        match &next {
            Some((name, value)) if due || next != sent => {
                let params = PatchParams::apply(&manager).force();
                let patch = Patch::Apply(patch(body(value)));
                let write = api.clusters.patch_status(name, &params, &patch);
                match tokio::time::timeout(WRITE_TIMEOUT, write).await {
                    Ok(Ok(_)) => {
                        once_more = again.filter(|_| next != sent).map(|later| Instant::now() + later);
                        sent.clone_from(&next);
                        backoff.reset();
                    }
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "the status could not be published; it is tried again");
                        retry = true;
                    }
                    Err(_) => {
                        tracing::debug!("the API server did not answer; the status is published again");
                        retry = true;
                    }
                }
            }
            // Another agent may publish meanwhile: what was sent no longer stands.
            None => (sent, once_more) = (None, None),
            Some(_) => {}
        }
        let change = async {
            tokio::select! {
                changed = values.changed() => changed,
                changed = cluster.changed() => changed,
                () = sleep_until(once_more.unwrap_or_else(Instant::now)), if once_more.is_some() => Ok(()),
            }
        };
        if retry {
            _ = tokio::time::timeout(backoff.pause(), change).await;
        } else if change.await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::Response;
    use kube::client::Body;

    use super::*;
    use crate::kubernetes::mock_api::{MockApi, config, pair};

    fn view(leader: &str) -> Option<LeaderView> {
        Some(LeaderView {
            cluster_id: HexId(1),
            leader: leader.into(),
            members: vec![],
            confirmed: None,
        })
    }

    fn publisher() -> (Publisher, MockApi) {
        let (client, server) = pair();
        let (keep, cluster) = watch::channel(Some("c".to_owned()));
        // The agent keeps it as long as it lives.
        std::mem::forget(keep);
        (Publisher::start(&Kubernetes::new(client, &config()), cluster), server)
    }

    /// Lets the next write succeed; says which leader it names and when it came, if one comes.
    async fn written(server: &mut MockApi) -> Option<(String, Instant)> {
        let (request, send) = tokio::time::timeout(AGAIN * 10, server.next_request()).await.ok()??;
        let body = request.into_body().collect_bytes().await.unwrap();
        let patch: serde_json::Value = serde_json::from_slice(&body).unwrap();
        // Beside an EtcdCluster that uses what a later release knows.
        let answer = serde_json::json!({
            "apiVersion": "etcd.etcd.io/v1alpha1", "kind": "EtcdCluster", "metadata": {"name": "c"},
            "spec": {"size": 1, "storage": {"retention": "Snapshot"}},
        });
        send.send_response(Response::new(Body::from(answer.to_string().into_bytes())));
        Some((patch["status"]["leader"].as_str()?.to_owned(), Instant::now()))
    }

    #[test]
    fn an_answer_is_published_beside_the_members_and_only_to_a_question() {
        let mut view = view("c-0").unwrap();
        assert_eq!(view.fields().get("membersConfirmed"), None);
        view.confirmed = Some("set/4".into());
        assert_eq!(view.fields()["membersConfirmed"], "set/4");
    }

    #[tokio::test(start_paused = true)]
    async fn the_members_are_written_once_more_and_then_not_again() {
        let (publisher, mut server) = publisher();
        publisher.leader.send_replace(view("c-0"));
        let (_, first) = written(&mut server).await.unwrap();
        let (leader, second) = written(&mut server).await.unwrap();
        assert_eq!((leader.as_str(), second - first), ("c-0", AGAIN));
        assert_eq!(written(&mut server).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_begins_anew_and_who_leads_no_more_is_silent() {
        let (publisher, mut server) = publisher();
        publisher.leader.send_replace(view("c-0"));
        let (_, first) = written(&mut server).await.unwrap();
        tokio::time::sleep(AGAIN / 2).await;
        publisher.leader.send_replace(view("other"));
        let (leader, _) = written(&mut server).await.unwrap();
        assert_eq!(leader, "other");
        let (leader, last) = written(&mut server).await.unwrap();
        assert_eq!((leader.as_str(), last - first), ("other", AGAIN / 2 + AGAIN));
        publisher.leader.send_replace(view("c-0"));
        written(&mut server).await.unwrap();
        publisher.leader.send_replace(None);
        assert_eq!(written(&mut server).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deputy_writes_the_leaders_fields_and_only_over_what_it_read() {
        let (client, mut server) = pair();
        let api = Kubernetes::new(client, &config());
        let write = tokio::spawn(async move { api.publish_members("c", &view("c-1").unwrap(), "7").await });
        let (request, send) = server.next_request().await.unwrap();
        let path = request.uri().to_string();
        assert!(path.contains("/etcdclusters/c/status?") && path.contains(&format!("fieldManager={LEADER_MANAGER}")));
        let body = request.into_body().collect_bytes().await.unwrap();
        let patch: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["status"]["leader"], "c-1");
        let conflict = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Conflict",
            "message": "the object has been modified", "code": 409,
        });
        let answer = Response::builder()
            .status(409)
            .body(Body::from(conflict.to_string().into_bytes()));
        send.send_response(answer.unwrap());
        // What somebody else wrote meanwhile stands; nothing is tried again here.
        assert!(write.await.unwrap().is_err());
        assert!(
            tokio::time::timeout(AGAIN * 10, server.next_request())
                .await
                .is_ok_and(|next| next.is_none())
        );
    }
}
