//! Birth records, read and written.

use super::*;

fn claim() -> Claim {
    Claim {
        token: "etcd-7f".into(),
        seat: 0,
        volume: "1b4e".into(),
        cluster_id: HexId(0xcafe),
    }
}

fn record(phase: Founding) -> BirthRecord {
    BirthRecord {
        owner: "uid".into(),
        no_older_volumes: true,
        abandoned: None,
        version: Some("3.5.21".into()),
        phase,
        unknown: BTreeMap::from([("colour".into(), "blue".into())]),
    }
}

fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

#[test]
fn every_record_is_read_as_it_was_written() {
    let formed = Formed {
        cluster_id: HexId(0xcafe),
        claim: Some(claim()),
    };
    let republished = Formed {
        cluster_id: HexId(0xcafe),
        claim: None,
    };
    for phase in [
        Founding::Unclaimed,
        Founding::Claimed(claim()),
        Founding::Formed(formed),
        Founding::Formed(republished),
    ] {
        for abandoned in [None, Some(HexId(0xdead))] {
            let record = BirthRecord {
                abandoned,
                ..record(phase.clone())
            };
            assert_eq!(BirthRecord::from_data(&record.to_data()), Ok(record));
        }
    }
}

#[test]
fn keys_of_another_release_survive_a_claim() {
    let read = BirthRecord::from_data(&data(&[("version", "3.5.21"), ("colour", "blue")])).unwrap();
    let claimed = BirthRecord {
        phase: Founding::Claimed(claim()),
        ..read
    };
    let written = claimed.to_data();
    assert_eq!(written.get("version").map(String::as_str), Some("3.5.21"));
    assert_eq!(written.get("colour").map(String::as_str), Some("blue"));
    assert_eq!(written.get("phase").map(String::as_str), Some("claimed"));
}

#[test]
fn an_empty_record_is_unclaimed_and_attests_nothing() {
    for data in [data(&[]), data(&[("phase", "")])] {
        assert_eq!(BirthRecord::from_data(&data), Ok(BirthRecord::unclaimed("", false)));
    }
}

#[test]
fn an_abandoned_cluster_leaves_its_record_unclaimed_without_attestation() {
    let record = BirthRecord {
        abandoned: Some(HexId(0xcafe)),
        ..record(Founding::Claimed(claim()))
    };
    let effective = record.effective();
    assert_eq!(effective.phase, Founding::Unclaimed);
    assert!(!effective.no_older_volumes);
}

#[test]
fn a_claim_made_after_another_cluster_was_abandoned_stands() {
    let record = BirthRecord {
        abandoned: Some(HexId(0xdead)),
        ..record(Founding::Claimed(claim()))
    };
    assert_eq!(record.effective(), record);
}

#[test]
fn an_unclaimed_record_that_names_an_abandoned_cluster_keeps_its_attestation() {
    let record = BirthRecord {
        abandoned: Some(HexId(0xdead)),
        ..record(Founding::Unclaimed)
    };
    assert!(record.effective().no_older_volumes);
}

#[test]
fn a_damaged_record_says_what_is_wrong() {
    let unknown = BirthRecord::from_data(&data(&[("phase", "born")]));
    assert_eq!(unknown, Err(BirthError::UnknownPhase("born".into())));
    let missing = BirthRecord::from_data(&data(&[("phase", "formed")]));
    assert_eq!(
        missing,
        Err(BirthError::Missing {
            phase: "formed",
            key: "clusterID"
        })
    );
    let mut unreadable = record(Founding::Claimed(claim())).to_data();
    unreadable.insert("seat".into(), "first".into());
    let error = BirthRecord::from_data(&unreadable).unwrap_err();
    assert_eq!(error.to_string(), "the birth record's seat \"first\" cannot be read");
}
