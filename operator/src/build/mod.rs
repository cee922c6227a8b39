//! The objects that make up a cluster: one file each, all of them functions of
//! a validated cluster; and [`prepared`], the writes that a plan asks for. No client.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::plan::pod_template::Template;
use crate::plan::size::SizePlan;
use crate::validate::ValidatedCluster;

mod agent_role;
pub(crate) mod birth_record;
mod client_service;
mod disruption_budget;
mod peer_service;
mod pod;
pub(crate) mod prepared;
mod service_account;
mod stateful_set;

/// The EtcdCluster's objects beside its StatefulSet and its birth record: the pods need them to be there first.
#[derive(Debug, Clone)]
pub(crate) struct Dependents {
    pub(crate) account: ServiceAccount,
    pub(crate) role: Role,
    pub(crate) binding: RoleBinding,
    pub(crate) peers: Service,
    pub(crate) clients: Service,
    pub(crate) budget: PodDisruptionBudget,
}

pub(crate) fn dependents(cluster: &ValidatedCluster) -> Dependents {
    Dependents {
        account: service_account::build(cluster),
        role: agent_role::role(cluster),
        binding: agent_role::binding(cluster),
        peers: peer_service::build(cluster),
        clients: client_service::build(cluster),
        budget: disruption_budget::build(cluster),
    }
}

/// Builds the pod template of this release.
pub(crate) fn template(cluster: &ValidatedCluster, agent_image: &str) -> Template {
    Template {
        pod: pod::template(cluster, agent_image),
        fingerprint: cluster.pods.fingerprint(),
        version: cluster.version.to_string(),
    }
}

/// Builds the StatefulSet that a plan asks for.
pub(crate) fn stateful_set(cluster: &ValidatedCluster, plan: &SizePlan, template: Template) -> StatefulSet {
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
