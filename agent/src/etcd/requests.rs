//! The reads that looks make of etcd, with answers that may come late.

use std::time::{Duration, Instant};

use muster_api::names::Names;
use muster_membership::{EtcdStatus, MemberList};

use super::pending::{OLDEST, Pending};
use super::{Etcd, Failure, LIST_TIMEOUT};

/// The reads on their way, and the connections that they take.
#[derive(Debug, Default)]
pub(crate) struct PendingRequests {
    etcd: Etcd,
    statuses: Pending<(EtcdStatus, String)>,
    lists: Pending<MemberList>,
}

impl PendingRequests {
    /// Requests over the connections of `etcd`.
    pub(crate) fn over(etcd: &Etcd) -> Self {
        Self {
            etcd: etcd.clone(),
            ..Self::default()
        }
    }

    /// Status with etcd's version, and the moment at which it was asked for.
    ///
    /// # Errors
    /// No answer, not to an earlier request either.
    pub(crate) async fn status(&self, url: &str, within: Duration) -> Result<(Instant, (EtcdStatus, String)), Failure> {
        let (etcd, at) = (self.etcd.clone(), url.to_owned());
        let request = async move { etcd.status(&at, OLDEST).await };
        self.forget_if_silent(url, self.statuses.ask(url, within, request).await)
    }

    /// A fenced member list, and the moment at which it was asked for.
    ///
    /// # Errors
    /// No quorum, a learner, or no answer, not to an earlier request either.
    pub(crate) async fn fenced_list(
        &self,
        url: &str,
        names: &Names,
        within: Duration,
    ) -> Result<(Instant, MemberList), Failure> {
        let (etcd, at, names) = (self.etcd.clone(), url.to_owned(), names.clone());
        let request = async move { etcd.fenced_list(&at, &names, OLDEST.saturating_sub(LIST_TIMEOUT)).await };
        self.forget_if_silent(url, self.lists.ask(url, within, request).await)
    }

    /// Gives up the connection to an endpoint that does not answer, which may be dead: the next request makes another.
    fn forget_if_silent<T>(&self, url: &str, answer: Result<T, Failure>) -> Result<T, Failure> {
        if matches!(answer, Err(Failure::Unknown(_))) {
            self.etcd.forget(url);
        }
        answer
    }

    /// Forgets the lists that are on their way.
    pub(crate) fn forget_lists(&self) {
        self.lists.retain(|_| false);
    }

    /// Forgets the statuses that are on their way from `url`.
    pub(crate) fn forget_status(&self, url: &str) {
        self.statuses.retain(|other| other != url);
    }

    /// Forgets the statuses that are on their way from anywhere.
    pub(crate) fn forget_statuses(&self) {
        self.statuses.retain(|_| false);
    }

    /// Forgets the connections and requests of endpoints that `keep` does not name.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.etcd.retain(&keep);
        self.statuses.retain(&keep);
        self.lists.retain(&keep);
    }
}
