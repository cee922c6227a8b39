//! Evictions. Client required.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::EvictParams;
use kube::core::Status;

use super::{Target, exactly};
use crate::dereference::PodView;
use crate::error::ReconcileError;

#[cfg(test)]
mod tests;

/// The answer to an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// The pod ends.
    Done,
    /// The pod is another one meanwhile, or the API server is busy: it is decided anew.
    Again,
    /// The API server does not allow it now: the cluster's own disruption budget has not counted all pods yet, as a
    /// rule. In the API server's words.
    NotNow(String),
    /// The API server does not allow it until somebody changes something, in its words.
    Refused(String),
}

impl Target<'_> {
    /// Evicts a pod.
    ///
    /// # Errors
    /// The request failed.
    pub(crate) async fn evict(&self, pod: &PodView) -> Result<Eviction, ReconcileError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        let parameters = EvictParams {
            delete_options: Some(exactly(&pod.uid, None)),
            ..EvictParams::default()
        };
        let error = match pods.evict(&pod.name, &parameters).await {
            Ok(_) => return Ok(Eviction::Done),
            Err(error) => error,
        };
        let answer = match &error {
            kube::Error::Api(status) => answer(status),
            _ => None,
        };
        answer.ok_or_else(|| ReconcileError::writing(format!("evict {}", pod.name))(error))
    }
}

/// The meaning of a failure; none if it says nothing about the eviction. A second disruption budget makes the API
/// server answer 500, whatever the two allow; an admission policy or a webhook refuses with a code of its own.
fn answer(status: &Status) -> Option<Eviction> {
    let words = || status.message.clone();
    match status.code {
        404 | 409 => Some(Eviction::Again),
        429 => Some(match budget(status) {
            Some(cause) => Eviction::NotNow(format!("{} {cause}", status.message)),
            None => Eviction::Again,
        }),
        400 | 403 | 422 => Some(Eviction::Refused(words())),
        500 if status.message.contains("PodDisruptionBudget") => Some(Eviction::Refused(words())),
        _ => None,
    }
}

/// The sentence of the disruption budget that does not allow it; none if the API server has too many requests.
fn budget(status: &Status) -> Option<&str> {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice());
    let of_budget = causes
        .unwrap_or_default()
        .iter()
        .find(|cause| cause.reason == "DisruptionBudget");
    of_budget.map(|cause| cause.message.as_str())
}
