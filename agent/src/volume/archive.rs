//! Data that must make way is renamed, with a line that says why; it is not deleted.
//!
//! Four steps, each durable before the next. A crash leaves one of these states, and
//! opening the volume goes on from there:
//!
//! ```text
//! 1. identity.json says what is being archived, and where    from here on it will happen
//! 2. archive/{n}-{reason}/why.txt is written
//! 3. data is renamed to archive/{n}-{reason}/data
//! 4. identity.json is that of a new volume
//! ```
//!
//! So no crash leaves a volume that still claims the old member without its data, or
//! one that presents the old data as new.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::identity::{PendingArchive, VolumeIdentity, write_atomically};
use super::{Result, Volume, VolumeError, hex, sync_dir, uuid_v4};

/// The cause for which the data of a volume is set aside, and the name of the new volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archiving {
    /// A few words; they become part of the directory's name.
    pub(crate) reason: String,
    /// The sentence for the person who finds the directory.
    pub(crate) why: String,
    /// The time, as it shall be shown.
    pub(crate) at: String,
    /// The member whose data this is, where known.
    pub(crate) member_id: Option<u64>,
    /// The cluster whose data this is, where known.
    pub(crate) cluster_id: Option<u64>,
    /// Random bytes: the name of the new volume.
    pub(crate) random: [u8; 16],
    /// True if the new volume remembers that corrupt data was set aside: that is done once.
    pub(crate) discarded_corrupt: bool,
}

/// The outcome of [`Volume::prune`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// The archives that are gone, by name, oldest first.
    pub(crate) deleted: Vec<String>,
    /// The archives that stay, by name, oldest first.
    pub(crate) kept: Vec<String>,
}

/// Records what shall happen (step 1), and does it. Step 4 is left out for `unborn` data.
pub(crate) fn begin(volume: &mut Volume, archiving: Archiving, unborn: bool) -> Result<Option<PathBuf>> {
    // One that an error cut short comes first; with no data left, it was this very one.
    if let Some(finished) = finish(volume)?
        && !exists(&volume.data_dir())?
    {
        return Ok(Some(finished));
    }
    let directory = if exists(&volume.data_dir())? {
        let number = list(&volume.root)?.last().map_or(1, |newest| newest.number + 1);
        Some(format!("{number}-{}", slug(&archiving.reason)))
    } else {
        None
    };
    let pending = PendingArchive {
        directory,
        line: line(&archiving),
        volume: uuid_v4(archiving.random),
        discarded_corrupt: archiving.discarded_corrupt,
        unborn,
    };
    volume.update(|identity| identity.archiving = Some(pending))?;
    finish(volume)
}

/// Does what remains of an archiving that was recorded; nothing if there is none.
pub(crate) fn finish(volume: &mut Volume) -> Result<Option<PathBuf>> {
    let Some(pending) = volume.identity.archiving.clone() else {
        return Ok(None);
    };
    let target = pending.directory.as_ref().map(|name| archives(&volume.root).join(name));
    if let Some(target) = &target {
        move_data(volume, target, &pending.line)?;
    }
    volume.update(|identity| {
        if pending.unborn {
            identity.archiving = None;
            return;
        }
        let fresh = VolumeIdentity::new(pending.volume, &identity.pod, identity.home.clone());
        let old = std::mem::replace(identity, fresh);
        identity.discarded_corrupt = pending.discarded_corrupt;
        identity.unknown = old.unknown;
        identity.last_good = old.last_good;
    })?;
    Ok(target)
}

/// Steps 2 and 3.
fn move_data(volume: &Volume, target: &Path, line: &str) -> Result<()> {
    let (from, to) = (volume.data_dir(), target.join("data"));
    if !exists(&from)? {
        return Ok(());
    }
    fs::create_dir_all(target).map_err(VolumeError::io("create", target))?;
    write_atomically(target, &target.join("why.txt"), format!("{line}\n").as_bytes())?;
    sync_dir(&archives(&volume.root))?;
    fs::rename(&from, &to).map_err(VolumeError::io("set aside", &from))?;
    sync_dir(target)?;
    sync_dir(&volume.root)
}

/// Deletes all but the newest archive of a log that was never written to. None of them holds anything that
/// was ever acknowledged, and a start that fails early again and again would fill the disk with them.
pub(crate) fn prune_unborn(root: &Path) -> Result<()> {
    let mut all = list(root)?;
    all.retain(|archive| archive.name.ends_with("-unborn"));
    all.pop();
    let mut pruned = Pruned {
        deleted: Vec::new(),
        kept: Vec::new(),
    };
    for archive in all {
        delete(root, archive.name, &mut pruned)?;
    }
    Ok(())
}

/// Deletes archives, oldest first: all but `keep`, or all while the disk is nearly full.
pub(crate) fn prune(root: &Path, keep: usize, min_free_percent: u8) -> Result<Pruned> {
    let mut all = list(root)?;
    let kept = all.split_off(all.len().saturating_sub(keep));
    let mut pruned = Pruned {
        deleted: Vec::new(),
        kept: Vec::new(),
    };
    for archive in all {
        delete(root, archive.name, &mut pruned)?;
    }
    for archive in kept {
        if nearly_full(root, min_free_percent)? {
            delete(root, archive.name, &mut pruned)?;
        } else {
            pruned.kept.push(archive.name);
        }
    }
    Ok(pruned)
}

/// Deletes archives that a joiner's database has no room beside, one after the other, until there is: those that are no
/// copy of a member's data first, then the older copies. The newest archive stays, and so does the newest copy, which
/// may be the last one. The room that is needed is that of the largest archive, and half as much again.
pub(crate) fn make_room(root: &Path, free: impl Fn(&Path) -> Result<u64>) -> Result<Vec<String>> {
    let mut all = list(root)?;
    let newest_copy = all.iter().rfind(|archive| archive.is_copy()).map(|copy| copy.number);
    all.pop();
    all.retain(|archive| Some(archive.number) != newest_copy);
    if all.is_empty() {
        return Ok(Vec::new());
    }
    all.sort_by_key(|archive| (archive.is_copy(), archive.number));
    let mut largest = 0;
    for archive in list(root)? {
        largest = largest.max(bytes(&archives(root).join(archive.name))?);
    }
    let mut pruned = Pruned {
        deleted: Vec::new(),
        kept: Vec::new(),
    };
    for archive in all {
        if free(root)? >= largest + largest / 2 {
            break;
        }
        delete(root, archive.name, &mut pruned)?;
    }
    Ok(pruned.deleted)
}

/// Bytes of all files in a folder.
fn bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder).map_err(VolumeError::io("list", folder))? {
        let entry = entry.map_err(VolumeError::io("list", folder))?;
        let path = entry.path();
        let metadata = entry.metadata().map_err(VolumeError::io("measure", &path))?;
        sum += if metadata.is_dir() {
            bytes(&path)?
        } else {
            metadata.len()
        };
    }
    Ok(sum)
}

/// Bytes that are free on the disk of a volume.
pub(crate) fn free(root: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(root).map_err(|e| VolumeError::io("measure", root)(e.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn delete(root: &Path, name: String, pruned: &mut Pruned) -> Result<()> {
    let path = archives(root).join(&name);
    fs::remove_dir_all(&path).map_err(VolumeError::io("delete", &path))?;
    pruned.deleted.push(name);
    Ok(())
}

fn nearly_full(root: &Path, min_free_percent: u8) -> Result<bool> {
    let disk = rustix::fs::statvfs(root).map_err(|e| VolumeError::io("measure", root)(e.into()))?;
    let (free, all) = (u128::from(disk.f_bavail), u128::from(disk.f_blocks));
    Ok(free * 100 < all * u128::from(min_free_percent))
}

struct Archived {
    number: u64,
    name: String,
}

impl Archived {
    /// True for all that a member had: it was removed, or etcd could not open it. Other archives are remains of a start.
    fn is_copy(&self) -> bool {
        self.name.ends_with("-removed") || self.name.ends_with("-corrupt")
    }
}

/// The archives of a volume, oldest first; what is not named like one is not one.
fn list(root: &Path) -> Result<Vec<Archived>> {
    let dir = archives(root);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(VolumeError::io("list", &dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(VolumeError::io("list", &dir))?.file_name();
        found.extend(number(&name));
    }
    found.sort_by_key(|archived| archived.number);
    Ok(found)
}

fn number(name: &OsStr) -> Option<Archived> {
    let name = name.to_str()?;
    let number = name.split_once('-')?.0.parse().ok()?;
    Some(Archived {
        number,
        name: name.to_owned(),
    })
}

fn archives(root: &Path) -> PathBuf {
    root.join("archive")
}

fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(VolumeError::io("look at", path))
}

/// Lower-case letters and digits with single dashes between: safe in any file name.
fn slug(reason: &str) -> String {
    let mut slug = String::new();
    for character in reason.chars().take(60) {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    match slug.trim_end_matches('-') {
        "" => "data".to_owned(),
        slug => slug.to_owned(),
    }
}

fn line(archiving: &Archiving) -> String {
    let id = |id: Option<u64>| id.map_or_else(|| "unknown".to_owned(), hex::format);
    format!(
        "{}: data of member {} of cluster {} was set aside: {}",
        archiving.at,
        id(archiving.member_id),
        id(archiving.cluster_id),
        archiving.why,
    )
}

#[cfg(test)]
mod tests;
