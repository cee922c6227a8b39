//! The volume of a seat: its identity, etcd's data, and the data that was set aside.
//!
//! ```text
//! /var/lib/etcd
//! ├── identity.json     the volume's identity (see [`identity`])
//! ├── lock              held by the launcher while it lives (see [`lock`])
//! ├── data/             etcd's data directory
//! │   └── member/wal/   its write-ahead log (see [`wal`])
//! └── archive/          data that made way, never deleted in order to join (see [`archive`])
//!     └── 1-removed-member/
//!         ├── why.txt
//!         └── data/
//! ```
//!
//! A volume without an identity is taken only if there is nothing else at its root, but for
//! what storage itself puts there (see [`foreign`]). Later, anything else is left alone. Every change
//! survives a crash at any point: opening the volume again finishes an archiving
//! that was cut short.

pub(crate) mod archive;
mod error;
mod foreign;
pub(crate) mod hex;
pub(crate) mod identity;
pub(crate) mod lock;
pub mod wal;

use std::path::{Path, PathBuf};

pub(crate) use archive::{Archiving, Pruned};
pub use error::{Result, VolumeError};
pub(crate) use identity::{FoundingClaim, Home, JoinRecord, LastGood, Tombstone, VolumeIdentity, uuid_v4};
pub(crate) use lock::VolumeLock;
pub(crate) use wal::Metadata;

/// Path at which the volume is mounted in every container of the pod.
pub(crate) const DEFAULT_ROOT: &str = "/var/lib/etcd";

/// An open volume, and the identity that is on its disk.
#[derive(Debug)]
pub(crate) struct Volume {
    root: PathBuf,
    identity: VolumeIdentity,
}

impl Volume {
    /// Opens the volume at `root` for the seat `pod` of the cluster at `home`.
    ///
    /// A volume without an identity gets one, named by `random`; its home only if there is no data. An archiving that was
    /// cut short is finished first, so what comes back is never a state in between.
    ///
    /// # Errors
    /// The volume belongs to another seat or another cluster, holds somebody else's files, or cannot be read or
    /// written.
    pub(crate) fn open(root: impl Into<PathBuf>, pod: &str, home: &Home, random: [u8; 16]) -> Result<Self> {
        let root = root.into();
        let elsewhere = |found: &VolumeIdentity| found.home.as_ref().is_some_and(|found| found != home);
        let identity = match identity::read(&root)? {
            Some(identity) if identity.pod != pod || elsewhere(&identity) => {
                return Err(VolumeError::OtherSeat {
                    path: identity::path(&root),
                    found: place(&identity.pod, identity.home.as_ref()),
                    expected: place(pod, Some(home)),
                });
            }
            Some(identity) => identity,
            None => {
                foreign::refuse(&root)?;
                // Data that came without an identity may be a copy of a live member's.
                let home = (!root.join("data").join("member").exists()).then(|| home.clone());
                let identity = VolumeIdentity::new(uuid_v4(random), pod, home);
                identity::write(&root, &identity)?;
                identity
            }
        };
        let mut volume = Self { root, identity };
        volume.finish_archiving()?;
        Ok(volume)
    }

    /// etcd's data directory, whether it exists or not.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The identity, which never differs from the file on the disk.
    pub(crate) fn identity(&self) -> &VolumeIdentity {
        &self.identity
    }

    /// Changes the identity: durably on the disk first, then in memory.
    ///
    /// Writes nothing when `change` changes nothing. When writing fails, memory keeps
    /// what the disk has.
    pub(crate) fn update(&mut self, change: impl FnOnce(&mut VolumeIdentity)) -> Result<()> {
        let mut next = self.identity.clone();
        change(&mut next);
        if next != self.identity {
            identity::write(&self.root, &next)?;
            self.identity = next;
        }
        Ok(())
    }

    /// Writes the identity as it is, durably: a test, before something must be noted, of whether it can be.
    pub(crate) fn rewrite(&self) -> Result<()> {
        identity::write(&self.root, &self.identity)
    }

    /// The member and the cluster that the write-ahead log belongs to; `None` without a log.
    pub(crate) fn wal_metadata(&self) -> Result<Option<Metadata>> {
        wal::read_metadata(&self.data_dir())
    }

    /// Moves etcd's data out of the way and makes this a new volume: see [`archive`].
    ///
    /// Returns the directory it now lies in, or `None` if there was no data. After an
    /// error it may have begun: call it again before etcd starts on this volume (see
    /// [`Volume::is_archiving`]).
    pub(crate) fn archive(&mut self, archiving: Archiving) -> Result<Option<PathBuf>> {
        archive::begin(self, archiving, false)
    }

    /// True if etcd was cut short before its first write on this volume, which founds: its
    /// log is there, and it can neither serve nor resume.
    pub(crate) fn is_unborn(&self) -> Result<bool> {
        let founds = self.identity.claim.is_some() && self.identity.join.is_none() && !self.identity.wal_seen;
        Ok(founds && wal::is_unborn(&self.data_dir())?)
    }

    /// Moves such a log out of the way; the volume keeps its identity, and may found again.
    pub(crate) fn archive_unborn(&mut self, archiving: Archiving) -> Result<Option<PathBuf>> {
        archive::begin(self, archiving, true)
    }

    /// True if an archiving began and could not be finished: etcd must not start now.
    pub(crate) fn is_archiving(&self) -> bool {
        self.identity.archiving.is_some()
    }

    /// Deletes all but the newest archive of a log that was never written to.
    pub(crate) fn prune_unborn(&self) -> Result<()> {
        archive::prune_unborn(&self.root)
    }

    /// Deletes archives, but for the newest `keep`.
    ///
    /// For when this volume's member is a voter. Of the disk less than `min_free_percent`
    /// per cent may be free: then the newest archives go too.
    pub(crate) fn prune(&self, keep: usize, min_free_percent: u8) -> Result<Pruned> {
        archive::prune(&self.root, keep, min_free_percent)
    }

    /// Deletes older archives if the database of a joiner has no room beside them, and returns their names.
    ///
    /// For when etcd is about to start for a join. The newest archive stays, and the newest of a member's whole data.
    pub(crate) fn make_room(&self) -> Result<Vec<String>> {
        archive::make_room(&self.root, archive::free)
    }

    fn finish_archiving(&mut self) -> Result<()> {
        archive::finish(self).map(drop)
    }
}

/// A seat, for people.
fn place(pod: &str, home: Option<&Home>) -> String {
    match home {
        Some(Home { namespace, cluster }) => format!("pod {pod} of EtcdCluster {cluster} in namespace {namespace}"),
        None => format!("pod {pod}"),
    }
}

/// Makes what happened in a directory (a rename, a new file) survive a crash.
fn sync_dir(dir: &Path) -> Result<()> {
    std::fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(VolumeError::io("sync", dir))
}
