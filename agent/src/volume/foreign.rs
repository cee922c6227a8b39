//! Files of somebody else: a claim of the seat's name may have been another application's.

use std::path::Path;

use super::{Result, VolumeError};

/// Names that the root of a volume may hold which is taken for new: data that a person put there, what an interrupted
/// opening leaves, and the folder of file systems.
const KNOWN: &[&str] = &["data", "archive", "lock", "identity.tmp", "lost+found"];
/// Files that are named in the sentence.
const NAMED: usize = 3;

/// Refuses a volume with files of somebody else. Hidden ones are storage systems' own (snapshots, for one).
///
/// # Errors
/// There are such files, or the volume cannot be read.
pub(super) fn refuse(root: &Path) -> Result<()> {
    let read = |error| VolumeError::io("read", root)(error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root).map_err(read)? {
        let name = entry.map_err(read)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !KNOWN.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    names.sort();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let mut names = names.join(", ");
    if more > 0 {
        names.push_str(&format!(" and {more} more"));
    }
    Err(VolumeError::Foreign {
        root: root.to_owned(),
        names,
    })
}
