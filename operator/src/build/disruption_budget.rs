//! Keeps voluntary disruptions from taking two members at a time.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{metadata, selector};
use crate::validate::ValidatedCluster;

/// Builds the PodDisruptionBudget. A member that is not ready may always be
/// evicted if its data stays behind on a volume; nothing is lost with it.
pub(super) fn build(cluster: &ValidatedCluster) -> PodDisruptionBudget {
    let unhealthy = if cluster.claim.is_some() {
        "AlwaysAllow"
    } else {
        "IfHealthyBudget"
    };
    PodDisruptionBudget {
        metadata: metadata(cluster, cluster.names.disruption_budget()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(cluster)),
            unhealthy_pod_eviction_policy: Some(unhealthy.into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
