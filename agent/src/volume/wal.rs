//! The member and the cluster that etcd's write-ahead log belongs to.
//!
//! A log is a directory of segments, `{sequence}-{index}.wal`. Each segment is a row of
//! frames, and begins with a checksum record and the metadata record:
//!
//! ```text
//! frame    = length: u64 little endian   bits 0–55: bytes of the record
//!                                        bit 63 set: bits 56–58 are the bytes of padding
//!            record                      protobuf {1: type, 2: crc, 3: data}
//!            padding                     to a multiple of 8 bytes
//! metadata = protobuf {1: node ID, 2: cluster ID}, the data of a record of type 1
//! ```

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::{Result, VolumeError};

/// The identity that a write-ahead log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// The ID of the member.
    pub node_id: u64,
    /// The ID of the cluster.
    pub cluster_id: u64,
}

/// The defect of a log segment that could not be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The segment ends before its metadata record does.
    #[error("it ends before its metadata record does")]
    Short,
    /// A frame or a record is not what etcd writes.
    #[error("it does not begin with the records that etcd writes")]
    Garbled,
    /// The checksum of the metadata record is wrong.
    #[error("the checksum of its metadata record is wrong")]
    Checksum,
    /// An ID is zero, which etcd never uses.
    #[error("its metadata record names no member or no cluster")]
    NoIdentity,
}

/// Enough for both records: they are some 50 bytes together.
const HEAD: u64 = 4096;
const TYPE_METADATA: u64 = 1;
const TYPE_STATE: u64 = 3;
const TYPE_CRC: u64 = 4;
const TYPE_SNAPSHOT: u64 = 5;

/// True if etcd finds a log in the data directory `data`, and resumes: any `*.wal` file.
pub fn has_wal(data: &Path) -> Result<bool> {
    Ok(!segments(data)?.is_empty())
}

/// The identity in the log of the data directory `data`; `None` if there is no log.
///
/// Any segment will do: each one repeats the metadata. The newest that can be read
/// counts; if none can, the error is about the newest.
pub fn read_metadata(data: &Path) -> Result<Option<Metadata>> {
    let mut newest_error = None;
    for path in segments(data)?.into_iter().rev() {
        match read_segment(&path) {
            Ok(metadata) => return Ok(Some(metadata)),
            Err(error) => _ = newest_error.get_or_insert(error),
        }
    }
    newest_error.map_or(Ok(None), Err)
}

/// True if the log is whole, and yet nothing was ever committed in it: etcd was cut short
/// between making the log and its first write. Content that is unclear says no.
///
/// For a founder that is a dead end: its membership is in that first write, and an etcd
/// that resumes without it waits for a leader for ever.
pub fn is_unborn(data: &Path) -> Result<bool> {
    let segments = segments(data)?;
    let [only] = segments.as_slice() else {
        return Ok(false);
    };
    let file = File::open(only).map_err(VolumeError::io("read", only))?;
    holds_no_commit(BufReader::new(file)).map_err(VolumeError::io("read", only))
}

/// Reads records until the zeros that etcd allocated in advance, or until one says otherwise.
fn holds_no_commit(mut log: impl Read) -> io::Result<bool> {
    loop {
        let mut length = Vec::new();
        log.by_ref().take(8).read_to_end(&mut length)?;
        if length.is_empty() {
            return Ok(true);
        }
        let Ok(length) = length.try_into() else {
            return Ok(false);
        };
        let frame = u64::from_le_bytes(length);
        if frame == 0 {
            return Ok(true);
        }
        let padding = if frame >> 63 == 1 { frame >> 56 & 0b111 } else { 0 };
        let size = frame & ((1 << 56) - 1);
        let mut record = Vec::new();
        log.by_ref().take(size + padding).read_to_end(&mut record)?;
        let commits = record
            .get(..usize::try_from(size).unwrap_or(usize::MAX))
            .and_then(|record| {
                let record = Record::parse(record).ok()?;
                let [_, first, _, third] = Fields::parse(record.data).ok()?.varints;
                // The commit index of raft's state, the index of a snapshot.
                Some((record.kind == TYPE_STATE && third > 0) || (record.kind == TYPE_SNAPSHOT && first > 0))
            });
        if commits != Some(false) {
            return Ok(false);
        }
    }
}

/// Reads the identity out of the first bytes of a log segment.
pub fn parse_segment(head: &[u8]) -> std::result::Result<Metadata, Malformed> {
    let mut rest = head;
    let crc = Record::parse(take_frame(&mut rest)?)?;
    if crc.kind != TYPE_CRC {
        return Err(Malformed::Garbled);
    }
    let metadata = Record::parse(take_frame(&mut rest)?)?;
    if metadata.kind != TYPE_METADATA {
        return Err(Malformed::Garbled);
    }
    // A segment's checksums go on from the segment before it.
    if crc32c(crc.crc, metadata.data) != metadata.crc {
        return Err(Malformed::Checksum);
    }
    let [_, node_id, cluster_id, _] = Fields::parse(metadata.data)?.varints;
    if node_id == 0 || cluster_id == 0 {
        return Err(Malformed::NoIdentity);
    }
    Ok(Metadata { node_id, cluster_id })
}

fn segments(data: &Path) -> Result<Vec<PathBuf>> {
    let dir = data.join("member").join("wal");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(VolumeError::io("list", &dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(VolumeError::io("list", &dir))?.path();
        if path.extension().is_some_and(|extension| extension == "wal") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read_segment(path: &Path) -> Result<Metadata> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEAD).read_to_end(&mut head))
        .map_err(VolumeError::io("read", path))?;
    parse_segment(&head).map_err(|why| VolumeError::Wal {
        path: path.to_owned(),
        why,
    })
}

fn take_frame<'a>(rest: &mut &'a [u8]) -> std::result::Result<&'a [u8], Malformed> {
    let (length, body) = rest.split_first_chunk::<8>().ok_or(Malformed::Short)?;
    let length = u64::from_le_bytes(*length);
    let padding = if length >> 63 == 1 { length >> 56 & 0b111 } else { 0 };
    // etcd allocates segments in advance: past the last frame there are zeros.
    let record = usize::try_from(length & ((1 << 56) - 1)).map_err(|_| Malformed::Garbled)?;
    if record == 0 {
        return Err(Malformed::Short);
    }
    let (record, body) = body.split_at_checked(record).ok_or(Malformed::Short)?;
    *rest = body.get(padding as usize..).ok_or(Malformed::Short)?;
    Ok(record)
}

struct Record<'a> {
    kind: u64,
    crc: u32,
    data: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(bytes: &'a [u8]) -> std::result::Result<Self, Malformed> {
        let Fields {
            varints: [_, kind, crc, _],
            bytes: [_, _, _, data],
        } = Fields::parse(bytes)?;
        Ok(Self {
            kind,
            crc: u32::try_from(crc).map_err(|_| Malformed::Garbled)?,
            data,
        })
    }
}

/// The protobuf fields 1 to 3 of a message; absent ones are zero or empty, others are skipped.
#[derive(Default)]
struct Fields<'a> {
    varints: [u64; 4],
    bytes: [&'a [u8]; 4],
}

impl<'a> Fields<'a> {
    fn parse(mut rest: &'a [u8]) -> std::result::Result<Self, Malformed> {
        let mut fields = Self::default();
        while !rest.is_empty() {
            let tag = take_varint(&mut rest)?;
            let slot = usize::try_from(tag >> 3).unwrap_or(usize::MAX);
            match tag & 0b111 {
                0 => {
                    let value = take_varint(&mut rest)?;
                    if let Some(field) = fields.varints.get_mut(slot) {
                        *field = value;
                    }
                }
                2 => {
                    let length = usize::try_from(take_varint(&mut rest)?).unwrap_or(usize::MAX);
                    let (value, after) = rest.split_at_checked(length).ok_or(Malformed::Garbled)?;
                    rest = after;
                    if let Some(field) = fields.bytes.get_mut(slot) {
                        *field = value;
                    }
                }
                _ => return Err(Malformed::Garbled),
            }
        }
        Ok(fields)
    }
}

fn take_varint(rest: &mut &[u8]) -> std::result::Result<u64, Malformed> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(Malformed::Garbled)?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed::Garbled)
}

/// The Castagnoli checksum, one bit at a time: it is for a few dozen bytes.
fn crc32c(previous: u32, bytes: &[u8]) -> u32 {
    let mut crc = !previous;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests;
