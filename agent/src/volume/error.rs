//! Errors of the volume, each with the file and with what a person can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Something on the volume that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The operating system said no.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// The attempt, as a verb: "read", "rename".
        what: &'static str,
        /// The file or directory it was tried on.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The identity file is there, and is no identity.
    #[error(
        "{path} is not a readable identity: {why}. Nothing was changed. Restore this file; \
         or, if this seat's data may go, delete the volume claim and the pod, and the seat \
         joins again with an empty volume",
        path = path.display()
    )]
    Identity {
        /// Path of the identity file.
        path: PathBuf,
        /// The defect of the file, in words.
        why: String,
    },
    /// The volume belongs to another seat: it was copied, restored or mounted in the wrong place.
    #[error(
        "{path} says that this volume belongs to {found}, and this is {expected}. \
         Two pods must never run the same member, so nothing was started. Mount an empty \
         volume here, or the one that belongs here",
        path = path.display()
    )]
    OtherSeat {
        /// Path of the identity file.
        path: PathBuf,
        /// The seat that the file names.
        found: String,
        /// The seat that opened it.
        expected: String,
    },
    /// The volume has no identity and holds somebody else's files.
    #[error(
        "{root} holds files that are not etcd's: {names}. Nothing was started or changed. \
         Empty the volume, or delete the volume claim and the pod, and the seat gets a new one",
        root = root.display()
    )]
    Foreign {
        /// The root of the volume.
        root: PathBuf,
        /// The first few of the files.
        names: String,
    },
    /// The write-ahead log does not say which member it belongs to.
    #[error("{path} does not say which member it belongs to: {why}", path = path.display())]
    Wal {
        /// The log segment, or the directory of segments.
        path: PathBuf,
        /// The defect of the file, in words.
        why: super::wal::Malformed,
    },
}

/// The result of work on the volume.
pub type Result<T> = std::result::Result<T, VolumeError>;

impl VolumeError {
    pub(crate) fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}
