//! The log's identity, from segments that etcd wrote and from damaged ones.

use super::*;
use proptest::prelude::*;

const V35: &[u8] = include_bytes!("../fixtures/etcd-3.5.21-first.wal");
const V35_SECOND: &[u8] = include_bytes!("../fixtures/etcd-3.5.21-second.wal");
const V36: &[u8] = include_bytes!("../fixtures/etcd-3.6.16-first.wal");

/// The identity that the etcd had which wrote the fixture.
const SAID_BY_V35: Metadata = Metadata {
    node_id: 4_418_923_109_685_051_537,
    cluster_id: 1_914_781_169_647_630_347,
};
const SAID_BY_V36: Metadata = Metadata {
    node_id: 6_436_775_891_359_454_350,
    cluster_id: 8_356_153_224_461_762_747,
};

/// A data directory with these segments, by name.
fn data(segments: &[(&str, &[u8])]) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let wal = data.path().join("member/wal");
    fs::create_dir_all(&wal).unwrap();
    for (name, content) in segments {
        fs::write(wal.join(name), content).unwrap();
    }
    data
}

#[test]
fn segments_that_etcd_wrote_name_the_member_that_etcd_named() {
    assert_eq!(parse_segment(V35), Ok(SAID_BY_V35));
    assert_eq!(parse_segment(V36), Ok(SAID_BY_V36));
}

#[test]
fn a_later_segment_continues_the_checksum_and_names_the_same_member() {
    assert_ne!(&V35_SECOND[..40], &V35[..40]);
    assert_eq!(parse_segment(V35_SECOND), Ok(SAID_BY_V35));
}

#[test]
fn a_directory_without_segments_has_no_log() {
    let empty = tempfile::tempdir().unwrap();
    assert!(!has_wal(empty.path()).unwrap());
    assert_eq!(read_metadata(empty.path()).unwrap(), None);
    // What a failed join leaves, and the segment that etcd prepares.
    let leftovers = data(&[("0.tmp", V35), ("0-0.wal.broken", V35)]);
    assert!(!has_wal(leftovers.path()).unwrap());
    assert_eq!(read_metadata(leftovers.path()).unwrap(), None);
}

#[test]
fn any_wal_file_is_a_log_even_an_empty_one() {
    let data = data(&[("0000000000000000-0000000000000000.wal", b"")]);
    assert!(has_wal(data.path()).unwrap());
    let error = read_metadata(data.path()).unwrap_err().to_string();
    assert!(error.contains("0000000000000000-0000000000000000.wal"), "{error}");
    assert!(error.contains("ends before"), "{error}");
}

#[test]
fn a_broken_newest_segment_does_not_hide_the_others() {
    let data = data(&[("0-0.wal", V35), ("1-45.wal", &[0; 4096])]);
    assert_eq!(read_metadata(data.path()).unwrap(), Some(SAID_BY_V35));
}

#[test]
fn a_wal_directory_that_cannot_be_listed_is_not_an_absent_one() {
    let data = tempfile::tempdir().unwrap();
    fs::create_dir_all(data.path().join("member")).unwrap();
    let looped = data.path().join("member/wal");
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    assert!(has_wal(data.path()).is_err());
}

#[test]
fn a_segment_of_the_full_size_is_read_by_its_head_only() {
    let data = data(&[("0-0.wal", V36)]);
    let path = data.path().join("member/wal/0-0.wal");
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    assert_eq!(read_metadata(data.path()).unwrap(), Some(SAID_BY_V36));
}

#[test]
fn zeros_are_a_log_that_ends_too_early() {
    assert_eq!(parse_segment(&[0; 4096]), Err(Malformed::Short));
    assert_eq!(parse_segment(&[]), Err(Malformed::Short));
}

#[test]
fn ids_of_zero_are_not_believed() {
    let crc = crc32c(0, &[]);
    let mut segment = vec![4, 0, 0, 0, 0, 0, 0, 0x84, 8, 4, 16, 0, 0, 0, 0, 0];
    segment.extend([4, 0, 0, 0, 0, 0, 0, 0x84, 8, 1, 16, crc as u8, 0, 0, 0, 0]);
    assert_eq!(crc, 0);
    assert_eq!(parse_segment(&segment), Err(Malformed::NoIdentity));
}

#[test]
fn the_checksum_is_castagnolis() {
    assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(crc32c(0, b"1234"), b"56789"), 0xe306_9283);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        _ = parse_segment(&bytes);
    }

    /// The identity, its checksum and what frames them are the first 56 bytes.
    #[test]
    fn a_flipped_bit_never_makes_another_member_of_it(byte in 0_usize..56, bit in 0_u8..8) {
        for (good, said) in [(V35, SAID_BY_V35), (V35_SECOND, SAID_BY_V35), (V36, SAID_BY_V36)] {
            let mut bad = good.to_vec();
            bad[byte] ^= 1_u8 << bit;
            if let Ok(read) = parse_segment(&bad) {
                prop_assert_eq!(read, said);
            }
        }
    }

    #[test]
    fn a_segment_cut_short_is_read_whole_or_not_at_all(length in 0..V35.len()) {
        match parse_segment(&V35[..length]) {
            Ok(read) => prop_assert_eq!(read, SAID_BY_V35),
            Err(why) => prop_assert_eq!(why, Malformed::Short),
        }
    }
}

/// The bytes of the first `count` records.
fn first_records(log: &[u8], count: usize) -> usize {
    let mut rest = log;
    for _ in 0..count {
        take_frame(&mut rest).unwrap();
    }
    log.len() - rest.len()
}

#[test]
fn a_log_without_a_commit_is_unborn_and_any_other_is_not() {
    for log in [V35, V36] {
        // Checksum, metadata, and the snapshot of nothing: what etcd makes the log with.
        let mut made = log[..first_records(log, 3)].to_vec();
        assert!(is_unborn(data(&[("0-0.wal", &made)]).path()).unwrap());
        made.extend([0; 4096]);
        assert!(is_unborn(data(&[("0-0.wal", &made)]).path()).unwrap());
        assert!(!is_unborn(data(&[("0-0.wal", log)]).path()).unwrap());
        assert!(!is_unborn(data(&[("0-0.wal", &made), ("1-9.wal", &made)]).path()).unwrap());
    }
    assert!(!is_unborn(data(&[]).path()).unwrap());
}

#[test]
fn a_log_that_is_torn_is_not_called_unborn() {
    // The last two bytes of the third record's frame are padding.
    for length in first_records(V35, 2) + 1..first_records(V35, 3) - 2 {
        assert!(!is_unborn(data(&[("0-0.wal", &V35[..length])]).path()).unwrap());
    }
}

#[test]
fn a_log_that_cannot_be_read_is_not_taken_for_any_kind() {
    let volume = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(volume.path().join("member/wal/0-0.wal")).unwrap();
    assert!(matches!(is_unborn(volume.path()), Err(VolumeError::Io { .. })));
}
