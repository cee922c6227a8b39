//! Archives: crashes after each step, names, pruning, logs without a commit.

use super::*;
use crate::volume::Home;

const MEMBER: u64 = 0x3d53_2b27_e28a_c091;
/// Bytes of the fixture's first three records: checksum, metadata, the snapshot of nothing.
const LOG_WITHOUT_COMMIT: usize = 80;

/// The volume of a member: joined, with a log.
fn home() -> Home {
    Home {
        namespace: "ns".into(),
        cluster: "c1".into(),
    }
}

fn member(root: &Path) -> Volume {
    let mut volume = Volume::open(root, "c1-2", &home(), [1; 16]).unwrap();
    volume
        .update(|identity| {
            identity.join = Some(crate::volume::JoinRecord {
                member_id: MEMBER,
                cluster_id: 7,
            });
            identity.wal_seen = true;
            identity.tombstone = Some(crate::volume::Tombstone {
                member_id: MEMBER,
                cluster_id: 7,
            });
        })
        .unwrap();
    put_data(root, "first");
    volume
}

fn put_data(root: &Path, content: &str) {
    fs::create_dir_all(root.join("data/member")).unwrap();
    fs::write(root.join("data/member/content"), content).unwrap();
}

fn removed() -> Archiving {
    Archiving {
        reason: "Removed member!".to_owned(),
        why: "the cluster removed this member while its pod was away".to_owned(),
        at: "2026-11-23T03:00:00Z".to_owned(),
        member_id: Some(MEMBER),
        cluster_id: None,
        random: [2; 16],
        discarded_corrupt: false,
    }
}

fn reopen(root: &Path) -> Volume {
    Volume::open(root, "c1-2", &home(), [9; 16]).unwrap()
}

/// Checks that the archiving is complete, by whichever way.
fn assert_archived(root: &Path, volume: &Volume) {
    let archived = root.join("archive/1-removed-member");
    assert_eq!(
        fs::read_to_string(archived.join("data/member/content")).unwrap(),
        "first"
    );
    assert!(!root.join("data").exists());
    assert_eq!(
        *volume.identity(),
        VolumeIdentity::new(uuid_v4([2; 16]), "c1-2", Some(home()))
    );
    assert_eq!(reopen(root).identity(), volume.identity());
}

#[test]
fn the_data_lies_beside_with_a_line_that_says_why_and_the_volume_is_new() {
    let root = tempfile::tempdir().unwrap();
    let mut volume = member(root.path());
    let place = volume.archive(removed()).unwrap().unwrap();
    assert_eq!(place, root.path().join("archive/1-removed-member"));
    assert_archived(root.path(), &volume);
    assert_eq!(
        fs::read_to_string(place.join("why.txt")).unwrap(),
        "2026-11-23T03:00:00Z: data of member 3d532b27e28ac091 of cluster unknown was set aside: \
         the cluster removed this member while its pod was away\n"
    );
}

#[test]
fn a_crash_after_any_step_is_finished_by_opening_the_volume() {
    let steps: [fn(&Path); 4] = [
        |_| {},
        |root| fs::create_dir_all(root.join("archive/1-removed-member")).unwrap(),
        |root| fs::write(root.join("archive/1-removed-member/why.txt"), "half a li").unwrap(),
        |root| {
            fs::rename(root.join("data"), root.join("archive/1-removed-member/data")).unwrap();
        },
    ];
    for crashed_after in 1..=steps.len() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut volume = member(root);
        let pending = PendingArchive {
            directory: Some("1-removed-member".to_owned()),
            line: line(&removed()),
            volume: uuid_v4([2; 16]),
            discarded_corrupt: false,
            unborn: false,
        };
        volume.update(|identity| identity.archiving = Some(pending)).unwrap();
        assert!(volume.is_archiving());
        steps[..crashed_after].iter().for_each(|step| step(root));
        drop(volume);
        assert_archived(root, &reopen(root));
    }
}

#[test]
fn an_archiving_that_failed_is_finished_by_asking_again() {
    let root = tempfile::tempdir().unwrap();
    let mut volume = member(root.path());
    // A file where the directory of archives should be.
    fs::write(root.path().join("archive"), "in the way").unwrap();
    fs::create_dir_all(root.path().join("data")).unwrap();
    assert!(volume.archive(removed()).is_err());
    assert!(root.path().join("data/member/content").exists());
    fs::remove_file(root.path().join("archive")).unwrap();
    let place = volume.archive(removed()).unwrap();
    assert_eq!(place, Some(root.path().join("archive/1-removed-member")));
    assert_archived(root.path(), &volume);
}

#[test]
fn without_data_the_volume_is_new_and_no_archive_appears() {
    let root = tempfile::tempdir().unwrap();
    let mut volume = member(root.path());
    fs::remove_dir_all(root.path().join("data")).unwrap();
    assert_eq!(volume.archive(removed()).unwrap(), None);
    assert!(!root.path().join("archive").exists());
    assert_eq!(volume.identity().join, None);
    assert_eq!(volume.identity().volume, uuid_v4([2; 16]));
}

#[test]
fn the_new_volume_remembers_that_corrupt_data_was_set_aside_and_what_served_last() {
    let root = tempfile::tempdir().unwrap();
    let mut volume = member(root.path());
    let good = crate::volume::LastGood {
        image: "etcd:1".to_owned(),
        options: Vec::new(),
    };
    volume
        .update(|identity| identity.last_good = Some(good.clone()))
        .unwrap();
    volume
        .archive(Archiving {
            discarded_corrupt: true,
            ..removed()
        })
        .unwrap();
    let identity = reopen(root.path()).identity().clone();
    assert!(identity.discarded_corrupt);
    assert_eq!(identity.last_good, Some(good));
}

#[test]
fn archives_are_numbered_on_and_only_the_newest_outlives_pruning() {
    let root = tempfile::tempdir().unwrap();
    let mut volume = member(root.path());
    for content in ["first", "second", "third"] {
        put_data(root.path(), content);
        volume.archive(removed()).unwrap();
    }
    fs::create_dir(root.path().join("archive/somebody's")).unwrap();
    let pruned = volume.prune(1, 0).unwrap();
    assert_eq!(pruned.deleted, ["1-removed-member", "2-removed-member"]);
    assert_eq!(pruned.kept, ["3-removed-member"]);
    let kept = root.path().join("archive/3-removed-member/data/member/content");
    assert_eq!(fs::read_to_string(kept).unwrap(), "third");
    assert!(root.path().join("archive/somebody's").exists());
    assert!(volume.prune(1, 0).unwrap().deleted.is_empty());
}

#[test]
fn the_tenth_archive_is_newer_than_the_ninth() {
    let root = tempfile::tempdir().unwrap();
    let volume = member(root.path());
    for number in 9..=11 {
        fs::create_dir_all(root.path().join(format!("archive/{number}-x"))).unwrap();
    }
    assert_eq!(volume.prune(1, 0).unwrap().kept, ["11-x"]);
}

#[test]
fn a_nearly_full_disk_takes_the_newest_too() {
    let root = tempfile::tempdir().unwrap();
    let mut volume = member(root.path());
    volume.archive(removed()).unwrap();
    // No disk has more than 100 % free, so every disk is nearly full by this measure.
    let pruned = volume.prune(1, 101).unwrap();
    assert_eq!(
        pruned,
        Pruned {
            deleted: vec!["1-removed-member".to_owned()],
            kept: vec![]
        }
    );
}

#[test]
fn there_is_nothing_to_prune_where_nothing_was_archived() {
    let root = tempfile::tempdir().unwrap();
    let volume = member(root.path());
    assert_eq!(
        volume.prune(1, 0).unwrap(),
        Pruned {
            deleted: vec![],
            kept: vec![]
        }
    );
}

#[test]
fn a_reason_makes_a_plain_file_name() {
    assert_eq!(slug("../../etc: it's  bad"), "etc-it-s-bad");
    assert_eq!(slug("…"), "data");
    assert_eq!(slug(&"a".repeat(500)).len(), 60);
}

#[test]
fn a_founder_whose_log_was_cut_short_stays_who_it_is() {
    const LOG: &[u8] = include_bytes!("../fixtures/etcd-3.5.21-first.wal");
    let root = tempfile::tempdir().unwrap();
    let mut volume = reopen(root.path());
    volume
        .update(|identity| {
            identity.claim = Some(crate::volume::FoundingClaim {
                token: "t".to_owned(),
                cluster_id: 7,
            });
        })
        .unwrap();
    let wal = root.path().join("data/member/wal");
    fs::create_dir_all(&wal).unwrap();
    fs::write(wal.join("0-0.wal"), &LOG[..LOG_WITHOUT_COMMIT]).unwrap();
    assert!(volume.is_unborn().unwrap());
    let before = volume.identity().clone();
    volume.archive_unborn(removed()).unwrap();
    assert_eq!(*volume.identity(), before);
    assert!(!root.path().join("data").exists());
    assert!(!volume.is_unborn().unwrap());

    // Start after start may fail so early: one such log is kept, and no other archive is touched.
    for _ in 0..3 {
        fs::create_dir_all(&wal).unwrap();
        fs::write(wal.join("0-0.wal"), &LOG[..LOG_WITHOUT_COMMIT]).unwrap();
        let unborn = Archiving {
            reason: "unborn".to_owned(),
            ..removed()
        };
        volume.archive_unborn(unborn).unwrap();
    }
    volume.prune_unborn().unwrap();
    let left = list(root.path()).unwrap().into_iter().map(|archive| archive.name);
    assert_eq!(left.collect::<Vec<_>>(), ["1-removed-member", "4-unborn"]);

    // With a commit, or once a log was noted, it is a member's data like any other.
    fs::create_dir_all(&wal).unwrap();
    fs::write(wal.join("0-0.wal"), LOG).unwrap();
    assert!(!volume.is_unborn().unwrap());
    fs::write(wal.join("0-0.wal"), &LOG[..LOG_WITHOUT_COMMIT]).unwrap();
    volume.update(|identity| identity.wal_seen = true).unwrap();
    assert!(!volume.is_unborn().unwrap());
}

/// An archive with that many bytes.
fn put_archive(root: &Path, name: &str, bytes: usize) {
    let folder = root.join("archive").join(name).join("data/member/snap");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("db"), vec![0; bytes]).unwrap();
}

#[test]
fn a_joiner_without_room_deletes_older_archives_and_never_the_last_copy() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for name in ["1-removed", "2-leftovers", "3-corrupt", "4-lost-wal"] {
        put_archive(root, name, 1_000);
    }
    // A disk of that many bytes with nothing on it but the archives.
    let disk = |size: u64| move |root: &Path| Ok(size.saturating_sub(bytes(&archives(root))?));
    assert!(make_room(root, disk(5_500)).unwrap().is_empty());
    // What is no copy of a member's data goes first, and no more than is needed.
    assert_eq!(make_room(root, disk(4_500)).unwrap(), ["2-leftovers"]);
    assert_eq!(make_room(root, disk(3_500)).unwrap(), ["1-removed"]);
    // The newest, and the newest copy, stay however full the disk is.
    assert!(make_room(root, disk(0)).unwrap().is_empty());
    let left: Vec<_> = list(root).unwrap().into_iter().map(|archive| archive.name).collect();
    assert_eq!(left, ["3-corrupt", "4-lost-wal"]);
}

#[test]
fn a_seat_that_goes_and_comes_back_keeps_room_for_the_database() {
    let root = tempfile::tempdir().unwrap();
    let mut volume = member(root.path());
    let disk = |root: &Path| Ok(3_500_u64.saturating_sub(bytes(root)?));
    for _ in 0..5 {
        fs::write(root.path().join("data/member/content"), vec![0; 1_000]).unwrap();
        let aside = Archiving {
            reason: "removed".to_owned(),
            ..removed()
        };
        volume.archive(aside).unwrap();
        make_room(root.path(), disk).unwrap();
        assert!(disk(root.path()).unwrap() >= 1_000, "the database has no room");
        put_data(root.path(), "next");
    }
    assert_eq!(list(root.path()).unwrap().len(), 1);
}
