//! The rights of a cluster's agents: to read what decides about their own
//! seat, and to write what they know of it.

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use muster_api::bounds::MAX_SIZE;
use muster_api::names::GROUP;

use super::metadata;
use crate::validate::ValidatedCluster;

pub(super) fn role(cluster: &ValidatedCluster) -> Role {
    Role {
        metadata: metadata(cluster, &cluster.names.agent_account()),
        rules: Some(rules(cluster)),
    }
}

pub(super) fn binding(cluster: &ValidatedCluster) -> RoleBinding {
    let account = cluster.names.agent_account();
    RoleBinding {
        metadata: metadata(cluster, &account),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
            name: account.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: account,
            namespace: cluster.namespace.clone(),
            ..Subject::default()
        }]),
    }
}

fn rules(cluster: &ValidatedCluster) -> Vec<PolicyRule> {
    let name = cluster.names.cluster();
    let pods: Vec<_> = (0..MAX_SIZE as u32).map(|seat| cluster.names.pod(seat)).collect();
    let pods: Vec<_> = pods.iter().map(String::as_str).collect();
    let mut rules = vec![
        rule("apps", &["statefulsets"], &["get", "list", "watch"], &[name]),
        // Each agent reads its own pod; the token of one is no token to read the namespace's pods with.
        rule("", &["pods"], &["get"], &pods),
        rule("discovery.k8s.io", &["endpointslices"], &["get", "list", "watch"], &[]),
        rule(
            "",
            &["configmaps"],
            &["get", "create", "update", "patch"],
            &[&cluster.names.birth_record()],
        ),
        // Only new ones: an Event of somebody else is not the agent's to change.
        rule("events.k8s.io", &["events"], &["create"], &[]),
    ];
    if cluster.owner.is_some() {
        rules.push(rule(GROUP, &["etcdclusters"], &["get"], &[name]));
        rules.push(rule(GROUP, &["etcdclusters/status"], &["patch"], &[name]));
    }
    rules
}

fn rule(group: &str, resources: &[&str], verbs: &[&str], names: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        resource_names: (!names.is_empty()).then(|| owned(names)),
        ..PolicyRule::default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use muster_api::cluster::EtcdClusterSpec;

    use super::*;

    fn both() -> [ValidatedCluster; 2] {
        let plain = crate::validate::spec("db", &EtcdClusterSpec::of_size(3)).unwrap();
        let owned = ValidatedCluster {
            owner: Some(OwnerReference::default()),
            ..plain.clone()
        };
        [plain, owned]
    }

    fn rule_of(cluster: &ValidatedCluster, resource: &str) -> PolicyRule {
        let has = |rule: &PolicyRule| rule.resources.iter().flatten().any(|name| name == resource);
        rules(cluster).into_iter().find(has).unwrap()
    }

    /// kube's recorder writes Events of this group, and not of the core group.
    #[test]
    fn agents_may_write_new_events_and_change_none() {
        for cluster in both() {
            let events = rule_of(&cluster, "events");
            assert_eq!(events.api_groups, Some(vec!["events.k8s.io".into()]));
            assert_eq!((events.verbs, events.resource_names), (vec!["create".to_owned()], None));
        }
    }

    #[test]
    fn agents_may_read_the_pods_of_their_cluster_only() {
        for cluster in both() {
            let pods = rule_of(&cluster, "pods");
            assert_eq!(pods.verbs, ["get"]);
            let names = pods.resource_names.unwrap();
            assert_eq!(
                (names.len(), names.first().unwrap().as_str()),
                (MAX_SIZE as usize, "db-0")
            );
        }
    }
}
