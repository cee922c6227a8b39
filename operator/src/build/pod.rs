//! The pod of a seat: the agent as a native sidecar, and etcd's own image,
//! started through the launcher that the agent has put in place.

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapProjection, Container, ContainerPort, DownwardAPIProjection,
    DownwardAPIVolumeFile, EmptyDirVolumeSource, EnvVar, EnvVarSource, ExecAction, HTTPGetAction, KeyToPath, Lifecycle,
    LifecycleHandler, ObjectFieldSelector, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecurityContext,
    ServiceAccountTokenProjection, TopologySpreadConstraint, Volume, VolumeMount, VolumeProjection,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use muster_api::names::{AGENT_PORT, CLAIM_TEMPLATE, CLIENT_PORT, METRICS_PORT, PEER_PORT};

use super::selector;
use crate::validate::ValidatedCluster;

/// The numeric user and group of every process.
const USER: i64 = 65532;
/// Folder of the agent's binary and socket.
const RUN_DIR: &str = "/run/muster";
/// The volume of a seat.
const DATA_DIR: &str = "/var/lib/etcd";
/// Folder in which clients of the API server look for their credentials.
const TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The launcher, as the etcd container sees it.
const LAUNCHER: &str = "/run/muster/muster-agent";
/// Time for a member to leave, or to hand on leadership.
const GRACE_SECONDS: i64 = 120;
/// A joiner may wait for a sick cluster for days; its start never times out.
const START_ATTEMPTS: i32 = 30 * 24 * 3600;

/// Builds the pod template.
pub(crate) fn template(cluster: &ValidatedCluster, agent_image: &str) -> PodTemplateSpec {
    let annotations = &cluster.pods.metadata.annotations;
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(cluster.pod_labels()),
            annotations: (!annotations.is_empty()).then(|| annotations.clone()),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(cluster, agent_image)),
    }
}

fn spec(cluster: &ValidatedCluster, agent_image: &str) -> PodSpec {
    let scheduling = cluster.pods.scheduling.clone();
    let spread = match scheduling.topology_spread_constraints {
        none if none.is_empty() => vec![default_spread(cluster)],
        some => some,
    };
    PodSpec {
        init_containers: Some(vec![agent(cluster, agent_image)]),
        containers: vec![etcd(cluster)],
        volumes: Some(volumes(cluster)),
        service_account_name: Some(cluster.names.agent_account()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        topology_spread_constraints: Some(spread),
        node_selector: (!scheduling.node_selector.is_empty()).then_some(scheduling.node_selector),
        tolerations: (!scheduling.tolerations.is_empty()).then_some(scheduling.tolerations),
        affinity: scheduling.affinity.or_else(|| Some(default_affinity(cluster))),
        priority_class_name: scheduling.priority_class_name,
        ..PodSpec::default()
    }
}

fn agent(cluster: &ValidatedCluster, image: &str) -> Container {
    let mut env = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("POD_UID", "metadata.uid"),
        field("POD_IP", "status.podIP"),
        // A Service may publish the pod in another family than its first one.
        field("POD_IPS", "status.podIPs"),
        value("MUSTER_CLUSTER", cluster.names.cluster()),
        value("MUSTER_ETCD_IMAGE", &cluster.pods.image),
    ];
    if !cluster.pods.options.is_empty() {
        env.push(value(
            "MUSTER_ETCD_OPTIONS",
            &serde_json::json!(cluster.pods.options).to_string(),
        ));
    }
    Container {
        name: "agent".into(),
        image: Some(image.to_owned()),
        args: Some(vec!["serve".into()]),
        env: Some(env),
        ports: Some(vec![port("agent", AGENT_PORT)]),
        restart_policy: Some("Always".into()),
        lifecycle: Some(Lifecycle {
            post_start: Some(exec(&["/muster-agent", "install"])),
            ..Lifecycle::default()
        }),
        liveness_probe: Some(probe("/livez", AGENT_PORT, 10, 5, 6)),
        resources: Some(
            cluster
                .pods
                .agent_resources
                .clone()
                .unwrap_or_else(default_agent_resources),
        ),
        security_context: Some(confined()),
        volume_mounts: Some(vec![
            mount("run", RUN_DIR, None),
            mount(CLAIM_TEMPLATE, DATA_DIR, None),
            mount("token", TOKEN_DIR, Some(true)),
        ]),
        ..Container::default()
    }
}

/// At rest the agent takes less than 1m and about 13Mi. The limits are far above: one that throttled a join or a hook
/// would cost more than it saves. They are there for namespaces whose ResourceQuota asks for limits.
fn default_agent_resources() -> ResourceRequirements {
    let quantities = |cpu: &str, memory: &str| {
        [("cpu", cpu), ("memory", memory)]
            .map(|(resource, quantity)| (resource.to_owned(), Quantity(quantity.to_owned())))
            .into()
    };
    ResourceRequirements {
        requests: Some(quantities("10m", "24Mi")),
        limits: Some(quantities("500m", "128Mi")),
        ..ResourceRequirements::default()
    }
}

fn etcd(cluster: &ValidatedCluster) -> Container {
    Container {
        name: "etcd".into(),
        image: Some(cluster.pods.image.clone()),
        command: Some(vec![LAUNCHER.into(), "launch".into()]),
        ports: Some(vec![
            port("client", CLIENT_PORT),
            port("peer", PEER_PORT),
            port("metrics", METRICS_PORT),
        ]),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(exec(&[LAUNCHER, "leave"])),
            ..Lifecycle::default()
        }),
        startup_probe: Some(probe("/livez", METRICS_PORT, 1, 5, START_ATTEMPTS)),
        // It is a read of the local store: a defragmentation blocks it.
        liveness_probe: Some(probe("/livez", METRICS_PORT, 10, 15, 6)),
        readiness_probe: Some(probe("/readyz", METRICS_PORT, 1, 5, 3)),
        resources: cluster.pods.resources.clone(),
        security_context: Some(confined()),
        volume_mounts: Some(vec![mount("run", RUN_DIR, None), mount(CLAIM_TEMPLATE, DATA_DIR, None)]),
        ..Container::default()
    }
}

fn volumes(cluster: &ValidatedCluster) -> Vec<Volume> {
    let mut volumes = vec![
        Volume {
            name: "run".into(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        },
        Volume {
            name: "token".into(),
            projected: Some(credentials()),
            ..Volume::default()
        },
    ];
    if let Some(ephemeral) = &cluster.pods.ephemeral {
        let source = EmptyDirVolumeSource {
            size_limit: ephemeral.size_limit.clone().map(Quantity),
            ..Default::default()
        };
        volumes.push(Volume {
            name: CLAIM_TEMPLATE.into(),
            empty_dir: Some(source),
            ..Volume::default()
        });
    }
    volumes
}

/// The credentials that Kubernetes would mount by itself into every container.
fn credentials() -> ProjectedVolumeSource {
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            path: "token".into(),
            expiration_seconds: Some(3607),
            audience: None,
        }),
        ..VolumeProjection::default()
    };
    let authority = VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: "kube-root-ca.crt".into(),
            items: Some(vec![KeyToPath {
                key: "ca.crt".into(),
                path: "ca.crt".into(),
                mode: None,
            }]),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let namespace = VolumeProjection {
        downward_api: Some(DownwardAPIProjection {
            items: Some(vec![DownwardAPIVolumeFile {
                path: "namespace".into(),
                field_ref: Some(field_selector("metadata.namespace")),
                ..DownwardAPIVolumeFile::default()
            }]),
        }),
        ..VolumeProjection::default()
    };
    ProjectedVolumeSource {
        sources: Some(vec![token, authority, namespace]),
        default_mode: None,
    }
}

/// Over nodes, where there are enough of them.
fn default_spread(cluster: &ValidatedCluster) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(selector(cluster)),
        ..TopologySpreadConstraint::default()
    }
}

/// Over zones, where nodes name one. A spread constraint would not do: it does
/// not count nodes that lack any of its labels, and then spreads over nothing.
fn default_affinity(cluster: &ValidatedCluster) -> Affinity {
    let other_zone = WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: PodAffinityTerm {
            topology_key: "topology.kubernetes.io/zone".into(),
            label_selector: Some(selector(cluster)),
            ..PodAffinityTerm::default()
        },
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![other_zone]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn confined() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            add: None,
        }),
        ..SecurityContext::default()
    }
}

fn probe(path: &str, port: u16, period: i32, timeout: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::Int(port.into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(timeout),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn exec(command: &[&str]) -> LifecycleHandler {
    let command = Some(command.iter().map(ToString::to_string).collect());
    LifecycleHandler {
        exec: Some(ExecAction { command }),
        ..LifecycleHandler::default()
    }
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number.into(),
        ..ContainerPort::default()
    }
}

fn mount(name: &str, path: &str, read_only: Option<bool>) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only,
        ..VolumeMount::default()
    }
}

fn value(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: Some(value.into()),
        value_from: None,
    }
}

fn field(name: &str, path: &str) -> EnvVar {
    let source = EnvVarSource {
        field_ref: Some(field_selector(path)),
        ..EnvVarSource::default()
    };
    EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(source),
    }
}

fn field_selector(path: &str) -> ObjectFieldSelector {
    ObjectFieldSelector {
        field_path: path.into(),
        api_version: Some("v1".into()),
    }
}

#[cfg(test)]
mod tests {
    use muster_api::cluster::{AgentSettings, EtcdClusterSpec};

    use super::*;

    /// The agent container's resources, and the fingerprint that decides about restarts.
    fn agent_of(agent: Option<AgentSettings>) -> (ResourceRequirements, String) {
        let spec = EtcdClusterSpec {
            agent,
            ..EtcdClusterSpec::of_size(3)
        };
        let cluster = crate::validate::spec("db", &spec).unwrap();
        let pod = template(&cluster, "agent:1").spec.unwrap();
        let container = pod.init_containers.unwrap().remove(0);
        (container.resources.unwrap(), cluster.pods.fingerprint())
    }

    #[test]
    fn the_agent_has_what_a_resource_quota_asks_for() {
        let (resources, _) = agent_of(None);
        for quantities in [resources.requests, resources.limits] {
            let named: Vec<_> = quantities.unwrap().into_keys().collect();
            assert_eq!(named, ["cpu", "memory"]);
        }
    }

    #[test]
    fn the_agents_resources_can_be_set_and_only_that_replaces_pods() {
        let wanted = ResourceRequirements {
            limits: Some([("cpu".to_owned(), Quantity("1".to_owned()))].into()),
            ..ResourceRequirements::default()
        };
        let (_, default) = agent_of(None);
        let (_, empty) = agent_of(Some(AgentSettings::default()));
        let (resources, set) = agent_of(Some(AgentSettings {
            resources: Some(wanted.clone()),
        }));
        assert_eq!(resources, wanted);
        assert_eq!(default, empty);
        assert_ne!(default, set);
    }
}
