//! One etcd cluster as a plain manifest: the objects that the operator would
//! make, without an owner.

use k8s_openapi::api::apps::v1::StatefulSet;
use muster_api::cluster::EtcdClusterSpec;

use super::{manifest, yaml};
use crate::build::{self, birth_record};
use crate::cli::AGENT_IMAGE;
use crate::plan::size;
use crate::plan::size_input::SizeInput;
use crate::validate;

const COMMENT: &str = "\
Generated. One etcd cluster that needs neither operator nor custom resource:
  kubectl apply -f no-operator.yaml
  kubectl scale statefulset etcd --replicas=3
Agents cannot publish a status without an EtcdCluster; ask one directly:
  kubectl get --raw /api/v1/namespaces/NAMESPACE/pods/etcd-0:2382/proxy/status";

pub(super) fn text() -> anyhow::Result<String> {
    let cluster = validate::spec("etcd", &EtcdClusterSpec::of_size(1))?;
    let plan = size::plan(&SizeInput {
        size: cluster.size,
        ..SizeInput::default()
    });
    let objects = build::dependents(&cluster);
    let mut set: StatefulSet = build::stateful_set(&cluster, &plan, build::template(&cluster, AGENT_IMAGE));
    // Left to Kubernetes' default, so that applying the manifest again never
    // undoes a scaling.
    if let Some(spec) = &mut set.spec {
        spec.replicas = None;
    }
    let objects = vec![
        yaml(&objects.account)?,
        yaml(&objects.role)?,
        yaml(&objects.binding)?,
        yaml(&objects.peers)?,
        yaml(&objects.clients)?,
        yaml(&objects.budget)?,
        yaml(&birth_record::empty(&cluster))?,
        yaml(&set)?,
    ];
    Ok(manifest(COMMENT, objects))
}
