//! The version of the data: with a StatefulSet, and after it is gone.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use muster_api::birth::BirthRecord;
use muster_api::cluster::{EtcdCluster, EtcdClusterSpec, Retention};
use muster_api::id::HexId;
use muster_api::status::{Quorum, SeatPhase, SeatStatus};
use muster_api::version::DEFAULT;
use serde_json::json;

use super::*;
use crate::build::birth_record;
use crate::validate;

/// A cluster of three with pods of `version`, all of them ready, whose agents say the same.
struct Case {
    observed: ObservedCluster,
    published: EtcdClusterStatus,
}

fn v(text: &str) -> Version {
    text.parse().unwrap()
}

fn record(cluster: &EtcdCluster, record: &BirthRecord) -> ConfigMap {
    let valid = validate::stored(cluster, &Written::default()).unwrap();
    birth_record::build(&valid, record)
}

fn running(version: &str) -> Case {
    let mut cluster = EtcdCluster::new("db", EtcdClusterSpec::of_size(3));
    cluster.metadata.uid = Some("u".into());
    cluster.metadata.namespace = Some("ns".into());
    let set = json!({
        "metadata": {
            "name": "db",
            "generation": 3,
            "annotations": { VERSION: version },
            "ownerReferences": [cluster.controller_owner_ref(&()).unwrap()],
        },
        "spec": {
            "replicas": 3,
            "selector": {},
            "template": { "spec": { "containers": [
                { "name": "etcd", "image": format!("gcr.io/etcd-development/etcd:v{version}") },
            ] } },
        },
        "status": { "replicas": 3, "observedGeneration": 3, "updateRevision": "r1" },
    });
    let pods = (0..3).map(|seat| PodView {
        name: format!("db-{seat}"),
        seat,
        uid: "p".into(),
        ready: true,
        revision: Some("r1".into()),
        ..PodView::default()
    });
    let seats = (0..3).map(|seat| SeatStatus {
        name: format!("db-{seat}"),
        phase: SeatPhase::Voter,
        reason: String::new(),
        why: String::new(),
        member_id: None,
        quorum: Quorum::Ok,
        voters: 3,
        version: Some(version.into()),
    });
    let formed = BirthRecord {
        version: Some(version.into()),
        ..BirthRecord::formed("u", HexId(7))
    };
    Case {
        published: EtcdClusterStatus {
            cluster_id: Some(HexId(7)),
            version: Some(version.into()),
            seats: seats.collect(),
            ..EtcdClusterStatus::default()
        },
        observed: ObservedCluster {
            obstacles: Default::default(),
            set: Some(serde_json::from_value(set).unwrap()),
            record: Some(record(&cluster, &formed)),
            pods: pods.collect(),
            claims: Vec::new(),
            revision: None,
            cluster,
        },
    }
}

impl Case {
    /// The EtcdCluster was deleted and made again: of all this, only the record is left.
    fn made_again(mut self) -> Self {
        self.published = EtcdClusterStatus::default();
        self.observed.set = None;
        self.observed.pods.clear();
        self
    }

    fn reports(mut self, seat: usize, version: Option<&str>) -> Self {
        self.published.seats[seat].version = version.map(str::to_owned);
        self
    }

    fn records(mut self, version: Option<&str>) -> Self {
        let data = self.observed.record.as_mut().unwrap().data.as_mut().unwrap();
        data.remove(key::VERSION);
        data.extend(version.map(|version| (key::VERSION.to_owned(), version.to_owned())));
        self
    }

    fn spec(mut self, change: impl FnOnce(&mut EtcdClusterSpec)) -> Self {
        change(&mut self.observed.cluster.spec);
        self
    }

    fn written(&self) -> Written {
        Written::of(&self.observed, &self.published)
    }

    fn validated(&self, version: Option<&str>) -> Result<Version, Invalid> {
        let mut cluster = self.observed.cluster.clone();
        cluster.spec.version = version.map(str::to_owned);
        validate::stored(&cluster, &self.written()).map(|valid| valid.version)
    }

    fn noted(&self) -> Option<Version> {
        self.written().to_note(v(DEFAULT))
    }
}

#[test]
fn a_cluster_made_again_without_a_version_keeps_the_one_that_wrote_its_data() {
    assert_eq!(running("3.5.21").made_again().validated(None), Ok(v("3.5.21")));
    let mut orphaned = running("3.5.21");
    orphaned.observed.set = None;
    assert_eq!(orphaned.validated(None), Ok(v("3.5.21")));
}

#[test]
fn a_cluster_made_again_takes_no_step_that_a_running_one_may_not_take() {
    for (written, wanted) in [("3.5.21", "3.6.16"), ("3.6.16", "3.5.35")] {
        for case in [running(written), running(written).made_again()] {
            assert!(case.validated(Some(wanted)).is_err(), "{written} to {wanted}");
        }
        let refused = running(written).made_again().validated(Some(wanted)).unwrap_err();
        let sentence = refused.to_string();
        for part in ["spec.version", written, wanted] {
            assert!(sentence.contains(part), "{sentence}");
        }
    }
    assert_eq!(
        running("3.5.35").made_again().validated(Some("3.6.16")),
        Ok(v("3.6.16"))
    );
}

#[test]
fn a_new_cluster_has_the_default_of_this_release_and_may_have_any_version() {
    let mut new = running("3.5.21").made_again();
    for unfounded in [None, Some(BirthRecord::unclaimed("u", true))] {
        new.observed.record = unfounded.map(|unfounded| record(&new.observed.cluster, &unfounded));
        assert_eq!(new.validated(None), Ok(v(DEFAULT)));
        assert_eq!(new.validated(Some("3.5.21")), Ok(v("3.5.21")));
        assert_eq!(new.written().to_note(v("3.5.21")), Some(v("3.5.21")));
    }
}

#[test]
fn the_version_of_a_cluster_that_a_person_gave_up_binds_nobody() {
    let given_up = BirthRecord {
        version: Some("3.6.16".into()),
        abandoned: Some(HexId(7)),
        ..BirthRecord::formed("u", HexId(7))
    };
    let mut case = running("3.6.16").made_again();
    case.observed.record = Some(record(&case.observed.cluster, &given_up));
    assert_eq!(case.validated(Some("3.5.21")), Ok(v("3.5.21")));
    assert_eq!(case.written().to_note(v("3.5.21")), Some(v("3.5.21")));
}

#[test]
fn the_record_of_an_earlier_cluster_that_is_still_going_binds_nobody() {
    let mut case = running("3.6.16").made_again();
    let mut before = case.observed.cluster.clone();
    before.metadata.uid = Some("0".into());
    before.spec.storage.retention = Retention::Delete;
    let formed = BirthRecord {
        version: Some("3.6.16".into()),
        ..BirthRecord::formed("0", HexId(7))
    };
    case.observed.record = Some(record(&before, &formed));
    assert_eq!(case.validated(Some("3.5.21")), Ok(v("3.5.21")));
}

#[test]
fn a_new_release_changes_the_version_of_no_cluster_that_runs() {
    assert_eq!(running("3.5.35").validated(None), Ok(v("3.5.35")));
}

#[test]
fn a_version_that_only_some_pods_run_has_not_taken_the_data_over() {
    let case = running("3.5.30").reports(0, Some("3.5.21"));
    let case = case.records(Some("3.5.21"));
    assert_eq!(case.noted(), None);
    // The next step waits for this one.
    let refused = case.validated(Some("3.6.16")).unwrap_err();
    assert!(
        matches!(refused, Invalid::Data { written, .. } if written == v("3.5.21")),
        "{refused}"
    );
    assert_eq!(case.validated(Some("3.5.30")), Ok(v("3.5.30")));
    let mixed = running("3.6.16").reports(0, Some("3.5.35"));
    assert!(matches!(mixed.validated(Some("3.5.35")), Err(Invalid::Version(_))));
    let done = running("3.5.30").records(Some("3.5.21"));
    assert_eq!(done.noted(), Some(v("3.5.30")));
    assert_eq!(done.validated(Some("3.6.16")), Ok(v("3.6.16")));
}

#[test]
fn nothing_is_noted_while_a_pod_is_not_ready_but_for_the_first_time() {
    let mut case = running("3.5.30").records(Some("3.5.21"));
    case.observed.pods[1].ready = false;
    assert_eq!(case.noted(), None);
    assert_eq!(case.records(None).noted(), Some(v("3.5.30")));
}

#[test]
fn without_reports_the_template_of_a_pod_says_what_it_runs() {
    let silent = |case: Case| case.reports(0, None).reports(1, None).reports(2, None);
    let mut case = silent(running("3.5.30")).records(Some("3.5.21"));
    assert_eq!(case.noted(), Some(v("3.5.30")));
    case.observed.pods[2].revision = Some("r0".into());
    assert_eq!(case.noted(), None);
}

#[test]
fn an_image_of_another_version_is_told_and_can_be_corrected() {
    let run = |case: Case, version| {
        let case = case.spec(|spec| spec.image = Some("mirror/etcd:new".into()));
        (0..3).fold(case, |case, seat| case.reports(seat, Some(version)))
    };
    let mut case = run(running("3.5.21"), "3.6.16");
    let sentence = mismatch(&case.observed, &case.published).unwrap();
    for part in ["spec.version", "3.5.21", "3.6.16", "db-0, db-1, db-2"] {
        assert!(sentence.contains(part), "{sentence}");
    }
    assert_eq!(case.noted(), Some(v("3.6.16")));
    // The image changes: with it, the version has to be true.
    assert!(case.validated(Some("3.5.21")).is_err());
    assert_eq!(case.validated(Some("3.6.16")), Ok(v("3.6.16")));
    // Nothing of etcd changes.
    let set = case.observed.set.as_mut().unwrap().spec.as_mut().unwrap();
    set.template.spec.as_mut().unwrap().containers[0].image = Some("mirror/etcd:new".into());
    assert_eq!(case.validated(Some("3.5.21")), Ok(v("3.5.21")));
    assert_eq!(
        mismatch(&running("3.5.21").observed, &running("3.5.21").published),
        None
    );
}

#[test]
fn a_pod_that_waits_for_its_replacement_is_no_mismatch() {
    let mut case = running("3.5.30").reports(0, Some("3.5.21"));
    case.observed.pods[0].revision = Some("r0".into());
    assert_eq!(mismatch(&case.observed, &case.published), None);
    case.observed.pods[0].revision = Some("r1".into());
    assert!(mismatch(&case.observed, &case.published).is_some());
}

#[test]
fn a_record_of_an_earlier_release_is_helped_out_by_the_status() {
    let mut case = running("3.5.21").records(None);
    case.observed.set = None;
    case.observed.pods.clear();
    assert_eq!(case.validated(None), Ok(v("3.5.21")));
    assert_eq!(case.noted(), Some(v("3.5.21")));
    case.published.seats.clear();
    assert!(case.validated(Some("3.6.16")).is_err());
}

#[test]
fn a_version_in_the_record_that_cannot_be_read_is_refused_where_it_counts() {
    let refused = running("3.5.21").made_again().records(Some("old")).validated(None);
    let sentence = refused.unwrap_err().to_string();
    assert!(
        sentence.contains("db-birth") && sentence.contains(r#""old""#),
        "{sentence}"
    );
    let case = running("3.5.21").records(Some("old"));
    assert_eq!(case.validated(None), Ok(v("3.5.21")));
    assert_eq!(case.noted(), Some(v("3.5.21")));
}

#[test]
fn the_stateful_set_of_somebody_else_says_nothing() {
    let mut case = running("3.6.16").records(Some("3.5.21"));
    case.observed.set.as_mut().unwrap().metadata.owner_references = Some(vec![OwnerReference::default()]);
    assert_eq!(case.validated(None), Ok(v("3.5.21")));
}
