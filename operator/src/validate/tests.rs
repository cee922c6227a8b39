//! Specs that are accepted, and specs that are refused.

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
            spec.version = Some(version.into());
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
        check(|spec| spec.version = Some("3.4.0".into())),
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
        check(|spec| spec.version = Some(format!("v{}", version::DEFAULT)))
            .unwrap()
            .pods
            .fingerprint(),
        base
    );
    assert_ne!(
        check(|spec| spec.version = Some("3.5.21".into()))
            .unwrap()
            .pods
            .fingerprint(),
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
    let valid = check(|spec| spec.version = Some("3.5.21".into())).unwrap();
    assert_eq!(valid.pods.fingerprint(), "ca9b67bc291c7e0b");
}
