//! Turns a spec into something that can be built, or says why not.
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

/// A cluster whose spec makes sense. The only thing that objects are built
/// from.
#[derive(Debug, Clone)]
pub struct ValidatedCluster {
    /// The names of its objects.
    pub names: Names,
    /// Its namespace; none in a manifest that leaves it to kubectl.
    pub namespace: Option<String>,
    /// The EtcdCluster, as its objects refer to it; none in a manifest that
    /// works without one.
    pub owner: Option<OwnerReference>,
    /// How many members it is to have.
    pub size: u32,
    /// The etcd version.
    pub version: Version,
    /// What the pods are like.
    pub pods: PodPlan,
    /// The volume claims of its seats; none if storage is ephemeral.
    pub claim: Option<ClaimPlan>,
    /// What becomes of volumes when the EtcdCluster is deleted.
    pub when_deleted: Retention,
    /// What becomes of the volume of a seat that was scaled away.
    pub when_scaled: Retention,
}

/// Everything that a pod is made from. When it changes, pods are replaced.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodPlan {
    /// The etcd image.
    pub image: String,
    /// Further etcd flags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Resources of the etcd container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Where the pods run.
    pub scheduling: Scheduling,
    /// Labels and annotations.
    pub metadata: PodMetadata,
    /// Storage in the pod itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<Ephemeral>,
}

/// A seat's volume claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPlan {
    /// How large the volume is.
    pub size: String,
    /// Its storage class, if not the default.
    pub class: Option<String>,
}

/// Why a spec cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
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

/// Checks a stored EtcdCluster, beside the version that its pods run.
pub fn stored(cluster: &EtcdCluster, running: Option<Version>) -> Result<ValidatedCluster, Invalid> {
    let owner = cluster.controller_owner_ref(&()).ok_or(Invalid::Unstored)?;
    let namespace = cluster.namespace().ok_or(Invalid::Unstored)?;
    let valid = spec(&cluster.name_any(), &cluster.spec)?;
    if let Some(running) = running {
        valid.version.follows(running)?;
    }
    Ok(ValidatedCluster {
        owner: Some(owner),
        namespace: Some(namespace),
        ..valid
    })
}

/// Checks a spec on its own.
pub fn spec(name: &str, spec: &EtcdClusterSpec) -> Result<ValidatedCluster, Invalid> {
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
    let version = spec.version.parse::<Version>()?.supported()?;
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
    /// Whether what is stored ends with the EtcdCluster.
    pub fn ends_with_owner(&self) -> bool {
        self.claim.is_none() || self.when_deleted == Retention::Delete
    }

    /// The EtcdCluster's UID; empty where there is none.
    pub fn owner_uid(&self) -> &str {
        self.owner.as_ref().map_or("", |owner| owner.uid.as_str())
    }

    /// Labels of the pods: the user's, and Muster's own.
    pub fn pod_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.pods.metadata.labels.clone();
        labels.extend(self.names.pod_labels());
        labels
    }
}

impl PodPlan {
    /// A short text that changes when the plan does, and not otherwise: a new
    /// release of the operator must not restart a single pod.
    pub fn fingerprint(&self) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut EtcdClusterSpec)) -> Result<ValidatedCluster, Invalid> {
        let mut wanted = EtcdClusterSpec::of_size(3);
        change(&mut wanted);
        spec("db", &wanted)
    }

    #[test]
    fn a_spec_that_names_only_a_size_is_complete() {
        let valid = check(|_| ()).unwrap();
        assert_eq!(valid.size, 3);
        assert_eq!(
            valid.pods.image,
            format!("gcr.io/etcd-development/etcd:v{}", version::DEFAULT)
        );
        assert_eq!(
            valid.claim,
            Some(ClaimPlan {
                size: "8Gi".into(),
                class: None
            })
        );
        assert!(!valid.ends_with_owner());
    }

    #[test]
    fn the_image_follows_repository_and_version() {
        for version in ["3.5.21", "v3.5.21"] {
            let valid = check(|spec| {
                spec.version = version.into();
                spec.repository = Some("registry.example/etcd".into());
            });
            assert_eq!(valid.unwrap().pods.image, "registry.example/etcd:v3.5.21");
        }
    }

    #[test]
    fn a_complete_image_stands_alone() {
        let valid = check(|spec| spec.image = Some("registry.example/etcd@sha256:00".into()));
        assert_eq!(valid.unwrap().pods.image, "registry.example/etcd@sha256:00");
        let both = check(|spec| {
            spec.image = Some("a".into());
            spec.repository = Some("b".into());
        });
        assert_eq!(both.unwrap_err(), Invalid::TwoImages);
    }

    #[test]
    fn names_that_pods_or_services_cannot_have_are_refused() {
        let wanted = EtcdClusterSpec::of_size(1);
        for name in ["", "1db", "db-", "Db", "d.b", &"d".repeat(53)] {
            assert_eq!(spec(name, &wanted).unwrap_err(), Invalid::Name(name.into()));
        }
        assert!(spec(&"d".repeat(52), &wanted).is_ok());
    }

    #[test]
    fn what_can_never_work_is_refused() {
        assert_eq!(check(|spec| spec.size = -1).unwrap_err(), Invalid::Size(-1));
        assert_eq!(check(|spec| spec.size = 10).unwrap_err(), Invalid::Size(10));
        assert!(matches!(
            check(|spec| spec.version = "3.4.0".into()),
            Err(Invalid::Version(_))
        ));
        assert!(matches!(
            check(|spec| spec.etcd_options = vec!["--name=x".into()]),
            Err(Invalid::Option(_))
        ));
        assert_eq!(
            check(|spec| spec.tls = Some(BTreeMap::new())).unwrap_err(),
            Invalid::Tls
        );
    }

    #[test]
    fn ephemeral_storage_has_no_claim_and_ends_with_the_cluster() {
        let valid = check(|spec| spec.storage.ephemeral = Some(Ephemeral::default())).unwrap();
        assert_eq!(valid.claim, None);
        assert!(valid.ends_with_owner());
        let both = check(|spec| {
            spec.storage.ephemeral = Some(Ephemeral::default());
            spec.storage.size = Some("1Gi".into());
        });
        assert_eq!(both.unwrap_err(), Invalid::TwoStorages);
    }

    #[test]
    fn the_labels_that_select_pods_are_not_the_users() {
        let labelled = check(|spec| {
            let label = ("app.kubernetes.io/instance".to_owned(), "x".to_owned());
            spec.pod_template.get_or_insert_default().metadata.labels = BTreeMap::from([label]);
        });
        assert_eq!(
            labelled.unwrap_err(),
            Invalid::Label("app.kubernetes.io/instance".into())
        );
    }

    #[test]
    fn the_fingerprint_follows_what_pods_are_made_from_and_nothing_else() {
        let base = check(|_| ()).unwrap().pods.fingerprint();
        assert_eq!(check(|spec| spec.size = 5).unwrap().pods.fingerprint(), base);
        assert_eq!(
            check(|spec| spec.storage.retention = Retention::Delete)
                .unwrap()
                .pods
                .fingerprint(),
            base
        );
        assert_eq!(
            check(|spec| spec.version = format!("v{}", version::DEFAULT))
                .unwrap()
                .pods
                .fingerprint(),
            base
        );
        assert_ne!(
            check(|spec| spec.version = "3.5.21".into()).unwrap().pods.fingerprint(),
            base
        );
        assert_ne!(
            check(|spec| spec.etcd_options = vec!["--pre-vote".into()])
                .unwrap()
                .pods
                .fingerprint(),
            base
        );
    }

    /// Clusters that exist carry this value: if it changes, an upgrade of the
    /// operator restarts their pods.
    #[test]
    fn the_fingerprint_of_a_plain_cluster_never_changes() {
        let valid = check(|spec| spec.version = "3.5.21".into()).unwrap();
        assert_eq!(valid.pods.fingerprint(), "ca9b67bc291c7e0b");
    }
}
