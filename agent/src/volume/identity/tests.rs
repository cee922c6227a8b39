//! The identity file: durability, unknown keys, defects, volumes of other seats.

use super::*;
use crate::volume::Volume;

fn home(namespace: &str) -> Home {
    Home {
        namespace: namespace.to_owned(),
        cluster: "c1".to_owned(),
    }
}

fn open(root: &Path) -> Result<Volume> {
    Volume::open(root, "c1-0", &home("a"), [7; 16])
}

#[test]
fn a_copy_in_another_namespace_is_refused_by_both_names() {
    let root = tempfile::tempdir().unwrap();
    open(root.path()).unwrap();
    let error = Volume::open(root.path(), "c1-0", &home("b"), [8; 16]).unwrap_err();
    let sentence = error.to_string();
    for name in ["EtcdCluster c1 in namespace a", "EtcdCluster c1 in namespace b"] {
        assert!(sentence.contains(name), "{sentence}");
    }
    assert_eq!(open(root.path()).unwrap().identity().home, Some(home("a")));
}

#[test]
fn a_volume_of_an_earlier_build_is_opened_and_stays_without_a_home_until_it_is_confirmed() {
    let root = tempfile::tempdir().unwrap();
    fs::write(path(root.path()), r#"{"volume": "v", "pod": "c1-0"}"#).unwrap();
    let mut volume = open(root.path()).unwrap();
    assert_eq!(volume.identity().home, None);
    volume.update(|identity| identity.home = Some(home("a"))).unwrap();
    assert!(Volume::open(root.path(), "c1-0", &home("b"), [8; 16]).is_err());
}

#[test]
fn data_without_an_identity_has_no_home_until_it_is_confirmed() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("data/member/wal")).unwrap();
    assert_eq!(open(root.path()).unwrap().identity().home, None);
    assert_eq!(open(root.path()).unwrap().identity().home, None);
}

#[test]
fn a_volume_with_files_of_somebody_else_is_refused_and_stays_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    for name in ["base", "global", "PG_VERSION", "pg_wal", "lost+found", ".snapshot"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    let sentence = open(root.path()).unwrap_err().to_string();
    assert!(sentence.contains("PG_VERSION, base, global and 1 more"), "{sentence}");
    assert!(!path(root.path()).exists());
}

#[test]
fn a_folder_named_data_is_etcds_only_with_etcds_data_in_it() {
    let holds = |files: &[&str]| {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let opened = open(root.path()).map(drop).map_err(|error| error.to_string());
        assert_eq!(opened.is_ok(), path(root.path()).exists());
        opened
    };
    let sentence = holds(&["data/PG_VERSION", "data/base/1"]).unwrap_err();
    assert!(
        sentence.contains("files that are not etcd's: data/PG_VERSION, data/base."),
        "{sentence}"
    );
    // Not even beside the names that a volume of etcd has at its root.
    let sentence = holds(&["data/data/1", "data/archive/2"]).unwrap_err();
    assert!(sentence.contains("data/archive, data/data"), "{sentence}");
    assert!(holds(&["data"]).is_err());
    assert_eq!(holds(&["data/member/snap/db", "data/notes"]), Ok(()));
    assert_eq!(holds(&["data/.snapshot", "data/lost+found/1"]), Ok(()));
}

#[test]
fn a_fresh_volume_gets_a_name_that_stays() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("lost+found")).unwrap();
    let name = open(root.path()).unwrap().identity().volume.clone();
    assert_eq!(name, "07070707-0707-4707-8707-070707070707");
    let again = Volume::open(root.path(), "c1-0", &home("a"), [8; 16]).unwrap();
    assert_eq!(again.identity().volume, name);
    assert!(root.path().join("lost+found").exists());
}

#[test]
fn everything_survives_on_the_disk_with_ids_that_json_tools_do_not_round() {
    let root = tempfile::tempdir().unwrap();
    let mut volume = open(root.path()).unwrap();
    volume
        .update(|identity| {
            identity.join = Some(JoinRecord {
                member_id: u64::MAX,
                cluster_id: 0xab,
            });
            identity.claim = Some(FoundingClaim {
                token: "t".to_owned(),
                cluster_id: 1 << 63,
            });
            identity.tombstone = Some(Tombstone {
                member_id: 3,
                cluster_id: 4,
            });
            identity.last_good = Some(LastGood {
                image: "i".to_owned(),
                options: vec![],
            });
            identity.wal_seen = true;
        })
        .unwrap();
    let text = fs::read_to_string(path(root.path())).unwrap();
    assert!(text.contains(r#""memberId": "ffffffffffffffff""#), "{text}");
    assert!(text.contains(r#""clusterId": "00000000000000ab""#), "{text}");
    assert_eq!(open(root.path()).unwrap().identity(), volume.identity());
}

/// An identity with every note, and in each of them, and beside them, what a newer version may add.
fn of_a_newer_version() -> Value {
    serde_json::json!({
        "volume": "v", "pod": "c1-0", "namespace": "a", "cluster": "c1", "walSeen": false, "discardedCorrupt": false,
        "join": { "memberId": "00000000000000aa", "clusterId": "00000000000000cc", "asked": "witness" },
        "claim": { "token": "t", "clusterId": "00000000000000cc", "by": ["x"] },
        "tombstone": { "memberId": "00000000000000ab", "clusterId": "00000000000000cc", "at": 7 },
        "lastGood": { "image": "i", "options": [], "features": { "a": true } },
        "colour": { "is": "blue" }, "size": null,
    })
}

fn written(root: &Path) -> Value {
    serde_json::from_slice(&fs::read(path(root)).unwrap()).unwrap()
}

#[test]
fn what_a_newer_version_wrote_is_kept_inside_the_notes_too() {
    let root = tempfile::tempdir().unwrap();
    let mut expected = of_a_newer_version();
    fs::write(path(root.path()), expected.to_string()).unwrap();
    let mut volume = open(root.path()).unwrap();
    volume.update(|identity| identity.wal_seen = true).unwrap();
    expected["walSeen"] = true.into();
    assert_eq!(written(root.path()), expected);
    volume.rewrite().unwrap();
    assert_eq!(written(root.path()), expected);
}

#[test]
fn what_a_newer_version_added_to_a_note_goes_with_the_note() {
    let root = tempfile::tempdir().unwrap();
    let mut expected = of_a_newer_version();
    fs::write(path(root.path()), expected.to_string()).unwrap();
    let another = JoinRecord {
        member_id: 0xad,
        cluster_id: 0xcc,
    };
    open(root.path())
        .unwrap()
        .update(|identity| (identity.join, identity.tombstone) = (Some(another), None))
        .unwrap();
    expected["join"] = serde_json::json!({ "memberId": "00000000000000ad", "clusterId": "00000000000000cc" });
    expected.as_object_mut().unwrap().remove("tombstone");
    assert_eq!(written(root.path()), expected);
}

#[test]
fn an_unreadable_identity_is_an_error_with_a_way_out_and_stays_as_it_is() {
    for text in ["", "{", "[]", r#"{"volume": "v"}"#, "\0\0\0"] {
        let root = tempfile::tempdir().unwrap();
        fs::write(path(root.path()), text).unwrap();
        let error = open(root.path()).unwrap_err();
        assert!(matches!(error, VolumeError::Identity { .. }), "{error}");
        let sentence = error.to_string();
        assert!(sentence.contains("identity.json"), "{sentence}");
        assert!(sentence.contains("delete the volume claim"), "{sentence}");
        assert_eq!(fs::read_to_string(path(root.path())).unwrap(), text);
    }
}

#[test]
fn another_seats_volume_is_refused() {
    let root = tempfile::tempdir().unwrap();
    open(root.path()).unwrap();
    let error = Volume::open(root.path(), "c1-1", &home("a"), [7; 16])
        .unwrap_err()
        .to_string();
    for seat in ["belongs to pod c1-0 of", "this is pod c1-1 of"] {
        assert!(error.contains(seat), "{error}");
    }
}

#[test]
fn memory_never_says_what_the_disk_does_not() {
    let root = tempfile::tempdir().unwrap();
    let mut volume = open(root.path()).unwrap();
    // A directory in the place of the temporary file: writing fails, for root too.
    fs::create_dir(root.path().join("identity.tmp")).unwrap();
    let error = volume
        .update(|identity| identity.wal_seen = true)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot write") && error.contains("identity.tmp"),
        "{error}"
    );
    assert!(!volume.identity().wal_seen);
    assert!(!open(root.path()).unwrap().identity().wal_seen);
}

#[test]
fn a_temporary_file_of_a_crash_is_no_obstacle() {
    let root = tempfile::tempdir().unwrap();
    let mut volume = open(root.path()).unwrap();
    fs::write(root.path().join("identity.tmp"), "half a").unwrap();
    volume.update(|identity| identity.wal_seen = true).unwrap();
    assert!(open(root.path()).unwrap().identity().wal_seen);
}

#[test]
fn no_change_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut volume = open(root.path()).unwrap();
    fs::create_dir(root.path().join("identity.tmp")).unwrap();
    volume.update(|identity| identity.wal_seen = false).unwrap();
}

#[test]
fn a_volume_that_cannot_be_written_is_found_out_before_something_must_be_noted() {
    let root = tempfile::tempdir().unwrap();
    let volume = Volume::open(root.path(), "c-0", &home("a"), [7; 16]).unwrap();
    volume.rewrite().unwrap();
    assert_eq!(&read(root.path()).unwrap().unwrap(), volume.identity());
    std::fs::remove_dir_all(root.path()).unwrap();
    assert!(matches!(volume.rewrite(), Err(VolumeError::Io { .. })));
}
