//! The objects that make up a cluster: one file each, all of them functions of
//! a validated cluster.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PodTemplateSpec, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::plan::size::Plan;
use crate::validate::ValidatedCluster;

mod agent_role;
pub mod birth_record;
mod client_service;
mod disruption_budget;
mod peer_service;
pub mod pod;
mod service_account;
pub mod stateful_set;

/// Everything that a StatefulSet's pods need to be there first.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The agents' identity.
    pub account: ServiceAccount,
    /// What agents may do.
    pub role: Role,
    /// Gives the role to the agents.
    pub binding: RoleBinding,
    /// Gives every pod its name.
    pub peers: Service,
    /// What clients connect to.
    pub clients: Service,
    /// Keeps drains from taking two members at a time.
    pub budget: PodDisruptionBudget,
}

/// Builds everything but the birth record and the StatefulSet.
pub fn surroundings(cluster: &ValidatedCluster) -> Surroundings {
    Surroundings {
        account: service_account::build(cluster),
        role: agent_role::role(cluster),
        binding: agent_role::binding(cluster),
        peers: peer_service::build(cluster),
        clients: client_service::build(cluster),
        budget: disruption_budget::build(cluster),
    }
}

/// A pod template, and what it was built from.
#[derive(Debug, Clone)]
pub struct Template {
    /// The template.
    pub pod: PodTemplateSpec,
    /// The fingerprint of the pod plan.
    pub fingerprint: String,
    /// The etcd version.
    pub version: String,
}

/// Builds the pod template of this release.
pub fn template(cluster: &ValidatedCluster, agent_image: &str) -> Template {
    Template {
        pod: pod::template(cluster, agent_image),
        fingerprint: cluster.pods.fingerprint(),
        version: cluster.version.to_string(),
    }
}

/// Builds the StatefulSet that a plan asks for.
pub fn stateful_set(cluster: &ValidatedCluster, plan: &Plan, template: Template) -> StatefulSet {
    stateful_set::build(cluster, plan, template)
}

fn metadata(cluster: &ValidatedCluster, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: cluster.namespace.clone(),
        labels: Some(cluster.names.labels()),
        owner_references: cluster.owner.clone().map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

fn selector(cluster: &ValidatedCluster) -> LabelSelector {
    LabelSelector {
        match_labels: Some(cluster.names.selector()),
        ..LabelSelector::default()
    }
}
