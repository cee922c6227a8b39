//! The answer to the operator's question for a member list that is newer than the question.
//!
//! The operator asks with an annotation of the StatefulSet, after the last pod of a seat that was scaled away is gone
//! and before it deletes the seat's volume claim. The list that an agent reads all the time may be old: it is the local
//! etcd's own. So the answer needs a fenced list, read after the question was seen. Later lists of the same etcd are
//! newer still, and keep the answer.

use super::agent::Agent;
use super::observe::FENCE_TIMEOUT;

impl Agent {
    /// Reads a fenced list if the operator asks for one and this agent `publishes` the members. A read that fails is
    /// repeated at the next turn.
    pub(crate) async fn confirm_members(&mut self, publishes: bool) {
        let Some(question) = self.workload.question().filter(|_| publishes) else {
            return;
        };
        if self.confirmed.as_ref() == Some(&question) {
            return;
        }
        // Not one of the pending requests: an answer to an earlier request may be older than the question.
        match self
            .etcd
            .fenced_list(&self.local_url(), &self.names, FENCE_TIMEOUT)
            .await
        {
            Ok(list) => {
                self.observed.local_list = Some(list);
                self.confirmed = Some(question);
            }
            Err(error) => tracing::debug!(%error, "the members could not be confirmed; it is tried again"),
        }
    }
}
