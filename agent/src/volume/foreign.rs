//! Files of somebody else: a claim of the seat's name may have been another application's.

use std::path::Path;

use super::{Result, VolumeError};

/// The folder of file systems.
const LOST_FOUND: &str = "lost+found";
/// Names that the root of a volume may hold which is taken for new: data that a person put there, what an interrupted
/// opening leaves, and the folder of file systems.
const KNOWN: &[&str] = &["data", "archive", "lock", "identity.tmp", LOST_FOUND];
/// The folder of etcd's data in its data directory; another application's folder `data` has none.
const ETCD: &str = "member";
/// Files that are named in the sentence.
const NAMED: usize = 3;

/// Refuses a volume with files of somebody else. Hidden ones are storage systems' own (snapshots, for one).
///
/// # Errors
/// There are such files, or the volume cannot be read.
pub(super) fn refuse(root: &Path) -> Result<()> {
    let mut names = visible(root)?;
    if names.iter().any(|name| name == "data") {
        names.extend(foreign_data(&root.join("data"))?);
    }
    names.retain(|name| !KNOWN.contains(&name.as_str()));
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

/// Names in a `data` that is not etcd's data directory; none if it is, or is empty.
fn foreign_data(data: &Path) -> Result<Vec<String>> {
    if !data.is_dir() {
        return Ok(vec!["data (a file)".to_owned()]);
    }
    let names = visible(data)?;
    if names.iter().any(|name| name == ETCD) {
        return Ok(Vec::new());
    }
    let foreign = names.iter().filter(|name| *name != LOST_FOUND);
    Ok(foreign.map(|name| format!("data/{name}")).collect())
}

/// The names in a folder, without hidden ones.
fn visible(folder: &Path) -> Result<Vec<String>> {
    let read = |error| VolumeError::io("read", folder)(error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let name = entry.map_err(read)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    Ok(names)
}
