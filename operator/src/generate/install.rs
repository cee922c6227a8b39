//! The manifest that installs the operator, and all it needs.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, Namespace, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext,
    ServiceAccount,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use muster_api::names::GROUP;

use super::{crd, manifest, yaml};
use crate::cli::{AGENT_IMAGE, OPERATOR_IMAGE};
use crate::service::lease;

const NAME: &str = "muster-operator";
const NAMESPACE: &str = "muster-system";
const PORT: i32 = 8080;
const USER: i64 = 65532;

/// The namespace and the images of an installation.
pub(super) struct Installation<'a> {
    pub(super) namespace: &'a str,
    pub(super) operator_image: &'a str,
    pub(super) agent_image: &'a str,
}

pub(super) fn text() -> anyhow::Result<String> {
    let installation = Installation {
        namespace: NAMESPACE,
        operator_image: OPERATOR_IMAGE,
        agent_image: AGENT_IMAGE,
    };
    let mut objects = vec![yaml(&namespace())?, crd::object()?];
    objects.extend(installation.objects()?);
    Ok(manifest(
        "Generated. Installs the operator: kubectl apply --server-side -f install.yaml",
        objects,
    ))
}

fn namespace() -> Namespace {
    let restricted = ["enforce", "audit", "warn"]
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), "restricted".to_owned()));
    Namespace {
        metadata: ObjectMeta {
            name: Some(NAMESPACE.into()),
            labels: Some(restricted.into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

impl Installation<'_> {
    /// Everything but the namespace and the definition.
    pub(super) fn objects(&self) -> anyhow::Result<Vec<String>> {
        Ok(vec![
            yaml(&ServiceAccount {
                metadata: self.metadata(),
                ..ServiceAccount::default()
            })?,
            yaml(&ClusterRole {
                metadata: everywhere(),
                rules: Some(cluster_rules()),
                ..ClusterRole::default()
            })?,
            yaml(&ClusterRoleBinding {
                metadata: everywhere(),
                role_ref: role_ref("ClusterRole"),
                subjects: Some(vec![self.subject()]),
            })?,
            yaml(&Role {
                metadata: self.metadata(),
                rules: Some(lease_rules()),
            })?,
            yaml(&RoleBinding {
                metadata: self.metadata(),
                role_ref: role_ref("Role"),
                subjects: Some(vec![self.subject()]),
            })?,
            yaml(&self.deployment())?,
        ])
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            namespace: Some(self.namespace.into()),
            ..everywhere()
        }
    }

    fn subject(&self) -> Subject {
        Subject {
            kind: "ServiceAccount".into(),
            name: NAME.into(),
            namespace: Some(self.namespace.into()),
            ..Subject::default()
        }
    }

    fn deployment(&self) -> Deployment {
        Deployment {
            metadata: self.metadata(),
            spec: Some(DeploymentSpec {
                replicas: Some(1),
                selector: LabelSelector {
                    match_labels: Some(labels()),
                    ..LabelSelector::default()
                },
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(labels()),
                        ..ObjectMeta::default()
                    }),
                    spec: Some(self.pod()),
                },
                ..DeploymentSpec::default()
            }),
            ..Deployment::default()
        }
    }

    fn pod(&self) -> PodSpec {
        PodSpec {
            service_account_name: Some(NAME.into()),
            termination_grace_period_seconds: Some(10),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".into(),
                    ..SeccompProfile::default()
                }),
                ..PodSecurityContext::default()
            }),
            containers: vec![self.container()],
            ..PodSpec::default()
        }
    }

    fn container(&self) -> Container {
        Container {
            name: "operator".into(),
            image: Some(self.operator_image.into()),
            args: Some(vec!["run".into()]),
            env: Some(vec![
                field("POD_NAME", "metadata.name"),
                field("POD_NAMESPACE", "metadata.namespace"),
                value("MUSTER_AGENT_IMAGE", self.agent_image),
            ]),
            ports: Some(vec![ContainerPort {
                name: Some("http".into()),
                container_port: PORT,
                ..ContainerPort::default()
            }]),
            liveness_probe: Some(probe("/livez", 10)),
            readiness_probe: Some(probe("/readyz", 2)),
            resources: Some(ResourceRequirements {
                requests: Some(quantities(&[("cpu", "10m"), ("memory", "32Mi")])),
                limits: Some(quantities(&[("memory", "256Mi")])),
                ..ResourceRequirements::default()
            }),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                capabilities: Some(Capabilities {
                    drop: Some(vec!["ALL".into()]),
                    add: None,
                }),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }
    }
}

/// The operator's rights in every namespace. It holds what it gives to
/// agents, since nobody can give more than they have.
fn cluster_rules() -> Vec<PolicyRule> {
    const READ: &[&str] = &["get", "list", "watch"];
    const OWN: &[&str] = &["get", "list", "watch", "create", "update", "patch"];
    vec![
        rule(GROUP, &["etcdclusters"], &["get", "list", "watch", "patch"]),
        rule(GROUP, &["etcdclusters/status"], &["patch"]),
        // Setting an owner that blocks deletion needs this where that is enforced.
        rule(GROUP, &["etcdclusters/finalizers"], &["update"]),
        rule("apps", &["statefulsets"], OWN),
        rule("apps", &["controllerrevisions"], &["get"]),
        rule("", &["services", "serviceaccounts", "configmaps"], OWN),
        rule("policy", &["poddisruptionbudgets"], OWN),
        rule("rbac.authorization.k8s.io", &["roles", "rolebindings"], OWN),
        rule("", &["pods"], READ),
        rule("", &["pods/eviction"], &["create"]),
        rule("", &["persistentvolumeclaims"], &["get", "list", "patch", "delete"]),
        rule("discovery.k8s.io", &["endpointslices"], READ),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
        // Only Events tell why a pod is not created, and why its volume is not there.
        rule("", &["events"], &["list"]),
    ]
}

fn lease_rules() -> Vec<PolicyRule> {
    let named = rule("coordination.k8s.io", &["leases"], &["get", "update"]);
    vec![
        PolicyRule {
            resource_names: Some(vec![lease::NAME.into()]),
            ..named
        },
        rule("coordination.k8s.io", &["leases"], &["create"]),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

fn everywhere() -> ObjectMeta {
    ObjectMeta {
        name: Some(NAME.into()),
        labels: Some(labels()),
        ..ObjectMeta::default()
    }
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/name".to_owned(), NAME.to_owned())])
}

fn role_ref(kind: &str) -> RoleRef {
    RoleRef {
        api_group: "rbac.authorization.k8s.io".into(),
        kind: kind.into(),
        name: NAME.into(),
    }
}

fn probe(path: &str, period: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::Int(PORT),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        ..Probe::default()
    }
}

fn quantities(pairs: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    pairs
        .iter()
        .map(|(name, quantity)| (name.to_string(), Quantity(quantity.to_string())))
        .collect()
}

fn value(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: Some(value.into()),
        value_from: None,
    }
}

fn field(name: &str, path: &str) -> EnvVar {
    let selector = ObjectFieldSelector {
        field_path: path.into(),
        api_version: None,
    };
    let source = EnvVarSource {
        field_ref: Some(selector),
        ..EnvVarSource::default()
    };
    EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(source),
    }
}
