//! Evictions. Client required.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::EvictParams;

use super::{Target, exactly};
use crate::dereference::PodView;
use crate::error::ReconcileError;

impl Target<'_> {
    /// Evicts a pod; false if the API server does not allow it now, or the pod is another one meanwhile.
    ///
    /// # Errors
    /// The request failed.
    pub(crate) async fn evict(&self, pod: &PodView) -> Result<bool, ReconcileError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        let parameters = EvictParams {
            delete_options: Some(exactly(&pod.uid, None)),
            ..EvictParams::default()
        };
        match pods.evict(&pod.name, &parameters).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if [404, 409, 429].contains(&status.code) => Ok(false),
            Err(error) => Err(ReconcileError::writing(format!("evict {}", pod.name))(error)),
        }
    }
}
