//! The same pods without Muster: a plain StatefulSet with static bootstrap, a
//! volume claim, a sidecar that does nothing, and the same probes. It is the
//! benchmark's floor, and what the harness checks itself with.

use std::time::Instant;

use anyhow::Result;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::ctx::Ctx;

/// An image of the bed's whose program only waits.
const PAUSE: &str = "muster.testbed/pause:1";

/// Makes such a cluster; returns the moment at which its StatefulSet was asked for.
pub(crate) async fn create(cx: &Ctx, name: &str, size: u32) -> Result<Instant> {
    for service in services(name) {
        cx.kubectl.apply(&service).await?;
    }
    let set: StatefulSet = serde_json::from_value(stateful_set(cx, name, size))?;
    let api: Api<StatefulSet> = Api::namespaced(cx.world.client.clone(), &cx.namespace);
    let start = Instant::now();
    api.create(&PostParams::default(), &set).await?;
    Ok(start)
}

/// Removes what such a cluster has besides its StatefulSet.
pub(crate) async fn remove_services(cx: &Ctx, name: &str) -> Result<()> {
    cx.kubectl
        .run_line(&format!("delete service {name} {name}-peer"))
        .await?;
    Ok(())
}

fn labels(name: &str) -> Value {
    json!({ "app.kubernetes.io/name": "etcd", "app.kubernetes.io/instance": name })
}

fn services(name: &str) -> [Value; 2] {
    let service = |name: String, spec: Value| json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": spec });
    let port = |name: &str, port: u16| json!({ "name": name, "port": port });
    [
        service(
            format!("{name}-peer"),
            json!({
                "clusterIP": "None", "publishNotReadyAddresses": true, "selector": labels(name),
                "ports": [port("client", 2379), port("peer", 2380)],
            }),
        ),
        service(
            name.to_owned(),
            json!({ "selector": labels(name), "ports": [port("client", 2379)] }),
        ),
    ]
}

fn stateful_set(cx: &Ctx, name: &str, size: u32) -> Value {
    let domain = format!("{name}-peer.{}.svc.cluster.local", cx.namespace);
    let peer = |seat: &str| format!("http://{seat}.{domain}:2380");
    let everybody: Vec<_> = (0..size)
        .map(|seat| format!("{name}-{seat}={}", peer(&format!("{name}-{seat}"))))
        .collect();
    let etcd = json!({
        "name": "etcd",
        "image": format!("gcr.io/etcd-development/etcd:{}", cx.version),
        "command": ["/usr/local/bin/etcd"],
        "args": [
            "--name=$(POD_NAME)", "--data-dir=/var/lib/etcd/data", "--initial-cluster-state=new",
            format!("--initial-cluster={}", everybody.join(",")),
            format!("--initial-cluster-token={}", cx.namespace),
            format!("--initial-advertise-peer-urls={}", peer("$(POD_NAME)")),
            format!("--advertise-client-urls=http://$(POD_NAME).{domain}:2379"),
            "--listen-peer-urls=http://0.0.0.0:2380", "--listen-client-urls=http://0.0.0.0:2379",
            "--listen-metrics-urls=http://0.0.0.0:2381",
        ],
        "env": [{ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
        "volumeMounts": [{ "name": "data", "mountPath": "/var/lib/etcd" }],
        "startupProbe": { "httpGet": { "path": "/livez", "port": 2381 }, "periodSeconds": 1, "failureThreshold": 600 },
        "livenessProbe": { "httpGet": { "path": "/livez", "port": 2381 }, "periodSeconds": 10, "timeoutSeconds": 15 },
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": 2381 }, "periodSeconds": 1, "timeoutSeconds": 5 },
        "securityContext": confined(),
    });
    let sidecar = json!({ "name": "agent", "image": PAUSE, "restartPolicy": "Always", "securityContext": confined() });
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": name },
        "spec": {
            "replicas": size,
            "serviceName": format!("{name}-peer"),
            "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": labels(name) },
            "template": {
                "metadata": { "labels": labels(name) },
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                        "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "topologySpreadConstraints": [{
                        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": { "matchLabels": labels(name) },
                    }],
                    "initContainers": [sidecar],
                    "containers": [etcd],
                },
            },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            }],
        },
    })
}

fn confined() -> Value {
    json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } })
}
