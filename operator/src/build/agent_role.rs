//! The rights of a cluster's agents: to read what decides about their own
//! seat, and to write what they know of it.

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
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
    let mut rules = vec![
        rule("apps", &["statefulsets"], &["get", "list", "watch"], Some(name)),
        rule("", &["pods"], &["get"], None),
        rule("discovery.k8s.io", &["endpointslices"], &["get", "list", "watch"], None),
        rule(
            "",
            &["configmaps"],
            &["get", "create", "update", "patch"],
            Some(&cluster.names.birth_record()),
        ),
        rule("events.k8s.io", &["events"], &["create", "patch"], None),
    ];
    if cluster.owner.is_some() {
        rules.push(rule(GROUP, &["etcdclusters"], &["get"], Some(name)));
        rules.push(rule(GROUP, &["etcdclusters/status"], &["patch"], Some(name)));
    }
    rules
}

fn rule(group: &str, resources: &[&str], verbs: &[&str], name: Option<&str>) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        resource_names: name.map(|name| vec![name.to_owned()]),
        ..PolicyRule::default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use muster_api::cluster::EtcdClusterSpec;

    use super::*;

    /// kube's recorder writes Events of this group, and not of the core group.
    #[test]
    fn agents_may_write_events_with_and_without_an_etcd_cluster() {
        let plain = crate::validate::spec("db", &EtcdClusterSpec::of_size(3)).unwrap();
        let owned = ValidatedCluster {
            owner: Some(OwnerReference::default()),
            ..plain.clone()
        };
        for cluster in [plain, owned] {
            let may = |verb: &str| {
                rules(&cluster).iter().any(|rule| {
                    let groups = rule.api_groups.iter().flatten();
                    let resources = rule.resources.iter().flatten();
                    groups.into_iter().any(|group| group == "events.k8s.io")
                        && resources.into_iter().any(|resource| resource == "events")
                        && rule.resource_names.is_none()
                        && rule.verbs.iter().any(|v| v == verb)
                })
            };
            assert!(may("create") && may("patch"), "{:?}", rules(&cluster));
        }
    }
}
