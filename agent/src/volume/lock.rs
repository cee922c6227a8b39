//! The lock on the volume: one etcd at a time.
//!
//! Two pods can share a ReadWriteOnce volume on one node, after a deletion that was
//! forced while the old pod still ran. etcd locks its own files too, but only after the
//! agent has planned the start; this lock is taken before a plan is asked for.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::{Result, VolumeError};

/// The volume is ours until this is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct VolumeLock {
    _file: File,
}

impl VolumeLock {
    /// Takes the lock of the volume at `root`, without waiting: `None` if another process has it.
    pub(crate) fn try_acquire(root: &Path) -> Result<Option<Self>> {
        let path = root.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(VolumeError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(VolumeError::io("lock", &path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holder_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let first = VolumeLock::try_acquire(root.path()).unwrap();
        assert!(first.is_some());
        assert!(VolumeLock::try_acquire(root.path()).unwrap().is_none());
        drop(first);
        assert!(VolumeLock::try_acquire(root.path()).unwrap().is_some());
    }

    #[test]
    fn a_volume_that_is_not_there_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let missing = root.path().join("missing");
        let error = VolumeLock::try_acquire(&missing).unwrap_err().to_string();
        assert!(error.contains("missing/lock"), "{error}");
    }
}
