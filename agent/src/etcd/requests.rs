//! What looks ask of etcd, with answers that may come late.

use std::time::{Duration, Instant};

use muster_api::names::Names;
use muster_membership::{EtcdStatus, MemberList};

use super::pending::{Late, OLDEST};
use super::{Etcd, Failure, LIST};

/// The questions that are on their way, and the connections that they take.
#[derive(Debug, Default)]
pub struct Questions {
    etcd: Etcd,
    statuses: Late<(EtcdStatus, String)>,
    lists: Late<MemberList>,
}

impl Questions {
    /// Questions over the connections of `etcd`.
    pub fn over(etcd: &Etcd) -> Self {
        Self {
            etcd: etcd.clone(),
            ..Self::default()
        }
    }

    /// Status with etcd's version, and when it was asked for.
    ///
    /// # Errors
    /// No answer, not to an earlier question either.
    pub async fn status(&self, url: &str, within: Duration) -> Result<(Instant, (EtcdStatus, String)), Failure> {
        let (etcd, at) = (self.etcd.clone(), url.to_owned());
        let question = async move { etcd.status(&at, OLDEST).await };
        self.noting(url, self.statuses.ask(url, within, question).await)
    }

    /// A fenced member list, and when it was asked for.
    ///
    /// # Errors
    /// No quorum, a learner, or no answer, not to an earlier question either.
    pub async fn fenced_list(
        &self,
        url: &str,
        names: &Names,
        within: Duration,
    ) -> Result<(Instant, MemberList), Failure> {
        let (etcd, at, names) = (self.etcd.clone(), url.to_owned(), names.clone());
        let question = async move { etcd.fenced_list(&at, &names, OLDEST.saturating_sub(LIST)).await };
        self.noting(url, self.lists.ask(url, within, question).await)
    }

    /// The next question to who does not answer takes a connection of its own: this one may be dead.
    fn noting<T>(&self, url: &str, answer: Result<T, Failure>) -> Result<T, Failure> {
        if matches!(answer, Err(Failure::Unknown(_))) {
            self.etcd.forget(url);
        }
        answer
    }

    /// No list that was asked for before now counts any more.
    pub fn forget_lists(&self) {
        self.lists.retain(|_| false);
    }

    /// No status that was asked of `url` before now counts any more.
    pub fn forget_status(&self, url: &str) {
        self.statuses.retain(|other| other != url);
    }

    /// No status that anybody was asked for before now counts any more.
    pub fn forget_statuses(&self) {
        self.statuses.retain(|_| false);
    }

    /// Forgets what is at endpoints that `keep` does not name.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.etcd.retain(&keep);
        self.statuses.retain(&keep);
        self.lists.retain(&keep);
    }
}
