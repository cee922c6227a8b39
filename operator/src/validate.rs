//! Turns a spec into something that can be built, or into the reason why it cannot. No client.
//!
//! The API server checks most of this as well; these checks hold for objects
//! that were stored under an older definition, and for what only a comparison
//! with the running cluster shows.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use muster_api::bounds::{DEFAULT_VOLUME_SIZE, MAX_SIZE};
use muster_api::cluster::{Ephemeral, EtcdCluster, EtcdClusterSpec, PodMetadata, Retention, Scheduling, Storage};
use muster_api::names::{MAX_NAME_LENGTH, Names};
use muster_api::options::{self, OptionError};
use muster_api::version::{self, Version, VersionError};
use serde::Serialize;
use sha1::{Digest, Sha1};

use crate::written::Written;

#[cfg(test)]
mod tests;

/// A cluster whose spec makes sense. The only thing that objects are built
/// from.
#[derive(Debug, Clone)]
pub(crate) struct ValidatedCluster {
    pub(crate) names: Names,
    /// The namespace; none in a manifest that leaves it to kubectl.
    pub(crate) namespace: Option<String>,
    /// The EtcdCluster, as its objects refer to it; none in a manifest that
    /// works without one.
    pub(crate) owner: Option<OwnerReference>,
    /// Number of members that it is to have.
    pub(crate) size: u32,
    pub(crate) version: Version,
    pub(crate) pods: PodPlan,
    /// The volume claims of its seats; none if storage is ephemeral.
    pub(crate) claim: Option<ClaimPlan>,
    /// Retention of volumes when the EtcdCluster is deleted.
    pub(crate) when_deleted: Retention,
    /// Retention of the volume of a seat that was scaled away.
    pub(crate) when_scaled: Retention,
}

/// Everything that a pod is made from. When it changes, pods are replaced.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodPlan {
    pub(crate) image: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) options: Vec<String>,
    /// Resources of the etcd container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resources: Option<ResourceRequirements>,
    /// Resources of the agent container, if they are not the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent_resources: Option<ResourceRequirements>,
    pub(crate) scheduling: Scheduling,
    pub(crate) metadata: PodMetadata,
    /// Storage in the pod itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ephemeral: Option<Ephemeral>,
}

/// A seat's volume claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimPlan {
    pub(crate) size: String,
    /// The storage class, if not the default.
    pub(crate) class: Option<String>,
}

/// A reason why a spec cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    /// The name does not allow for valid pods and Services.
    #[error(
        "the name {0:?} cannot be used: at most {MAX_NAME_LENGTH} lower-case letters, digits and hyphens, beginning with a letter, ending with a letter or digit"
    )]
    Name(String),
    /// The size is out of range.
    #[error("size {0} is not between 0 and {MAX_SIZE}")]
    Size(i32),
    /// The version is not usable.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The version cannot open, or must not take over, the data that there is.
    #[error(
        "the field spec.version does not fit the cluster's data, which etcd {written} wrote: {error}. Set spec.version to {written} or to a version that may follow it"
    )]
    Data {
        /// The version that wrote the data.
        written: Version,
        error: VersionError,
    },
    /// The birth record names no version that can be read, and nothing runs that would tell.
    #[error(
        "the key version of ConfigMap {name} is {text:?}, which is no version: correct it to the etcd version that wrote the cluster's data"
    )]
    Recorded {
        /// The ConfigMap.
        name: String,
        text: String,
    },
    /// An option is not usable.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Both image and repository are set.
    #[error("set image or repository, not both: image is a complete reference")]
    TwoImages,
    /// Ephemeral storage with a volume claim.
    #[error("ephemeral storage has no volume claim: remove storage.size and storage.storageClassName")]
    TwoStorages,
    /// A pod label that is not the user's to set.
    #[error("podTemplate cannot set the label {0:?}: it belongs to Muster or to Kubernetes")]
    Label(String),
    /// TLS is asked for.
    #[error("TLS is not supported yet: remove spec.tls")]
    Tls,
    /// The EtcdCluster has no name, namespace or UID yet.
    #[error("the EtcdCluster has not been stored")]
    Unstored,
}

/// Checks a stored EtcdCluster, beside the version that its data is of.
///
/// # Errors
/// The spec cannot be built, or the version does not follow the one that wrote the data.
pub(crate) fn stored(cluster: &EtcdCluster, written: &Written) -> Result<ValidatedCluster, Invalid> {
    let owner = cluster.controller_owner_ref(&()).ok_or(Invalid::Unstored)?;
    let namespace = cluster.namespace().ok_or(Invalid::Unstored)?;
    let mut wanted = cluster.spec.clone();
    if wanted.version.is_none() {
        wanted.version = written.unnamed().map(|version| version.to_string());
    }
    let valid = spec(&cluster.name_any(), &wanted)?;
    written.check(&valid)?;
    Ok(ValidatedCluster {
        owner: Some(owner),
        namespace: Some(namespace),
        ..valid
    })
}

/// Checks a spec on its own.
///
/// # Errors
/// The spec cannot be built.
pub(crate) fn spec(name: &str, spec: &EtcdClusterSpec) -> Result<ValidatedCluster, Invalid> {
    if !usable_name(name) {
        return Err(Invalid::Name(name.to_owned()));
    }
    if spec.tls.is_some() {
        return Err(Invalid::Tls);
    }
    let size = u32::try_from(spec.size)
        .ok()
        .filter(|_| spec.size <= MAX_SIZE)
        .ok_or(Invalid::Size(spec.size))?;
    let version = spec.version.as_deref().unwrap_or(version::DEFAULT);
    let version = version.parse::<Version>()?.supported()?;
    options::check(&spec.etcd_options)?;
    let metadata = spec
        .pod_template
        .as_ref()
        .map(|template| template.metadata.clone())
        .unwrap_or_default();
    if let Some(label) = metadata.labels.keys().find(|label| reserved(label)) {
        return Err(Invalid::Label(label.clone()));
    }
    Ok(ValidatedCluster {
        names: Names::new(name),
        namespace: None,
        owner: None,
        size,
        version,
        pods: PodPlan {
            image: image(spec, version)?,
            options: spec.etcd_options.clone(),
            resources: spec.resources.clone(),
            agent_resources: spec.agent.as_ref().and_then(|agent| agent.resources.clone()),
            scheduling: spec.scheduling.clone().unwrap_or_default(),
            metadata,
            ephemeral: spec.storage.ephemeral.clone(),
        },
        claim: claim(&spec.storage)?,
        when_deleted: spec.storage.retention,
        when_scaled: spec.storage.when_scaled,
    })
}

impl ValidatedCluster {
    /// True if what is stored ends with the EtcdCluster.
    pub(crate) fn ends_with_owner(&self) -> bool {
        self.claim.is_none() || self.when_deleted == Retention::Delete
    }

    /// The EtcdCluster's UID; empty where there is none.
    pub(crate) fn owner_uid(&self) -> &str {
        self.owner.as_ref().map_or("", |owner| owner.uid.as_str())
    }

    /// Labels of the pods: the user's, and Muster's own.
    pub(crate) fn pod_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.pods.metadata.labels.clone();
        labels.extend(self.names.pod_labels());
        labels
    }
}

impl PodPlan {
    /// A short text that changes when the plan does, and not otherwise: a new
    /// release of the operator must not restart a single pod.
    pub(crate) fn fingerprint(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        Sha1::digest(text.as_bytes())
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

fn usable_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    name.len() <= MAX_NAME_LENGTH
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.last() != Some(&b'-')
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

fn reserved(label: &str) -> bool {
    Names::new("").pod_labels().contains_key(label)
        || [
            "controller-revision-hash",
            "statefulset.kubernetes.io/pod-name",
            "apps.kubernetes.io/pod-index",
        ]
        .contains(&label)
}

fn image(spec: &EtcdClusterSpec, version: Version) -> Result<String, Invalid> {
    match (&spec.image, &spec.repository) {
        (Some(_), Some(_)) => Err(Invalid::TwoImages),
        (Some(image), None) => Ok(image.clone()),
        (None, repository) => {
            let repository = repository.as_deref().unwrap_or(version::DEFAULT_REPOSITORY);
            Ok(format!("{repository}:v{version}"))
        }
    }
}

fn claim(storage: &Storage) -> Result<Option<ClaimPlan>, Invalid> {
    if storage.ephemeral.is_none() {
        let size = storage.size.clone().unwrap_or_else(|| DEFAULT_VOLUME_SIZE.to_owned());
        return Ok(Some(ClaimPlan {
            size,
            class: storage.storage_class_name.clone(),
        }));
    }
    if storage.size.is_some() || storage.storage_class_name.is_some() {
        return Err(Invalid::TwoStorages);
    }
    Ok(None)
}
