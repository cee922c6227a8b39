//! `identity.json`: the name of this volume, and its notes that survive any crash.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Result, VolumeError, hex, sync_dir};

/// The content of the identity file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeIdentity {
    /// The name of this lifetime of the seat's storage (a random UUID).
    pub(crate) volume: String,
    /// The seat: the name of the pod that this volume belongs to.
    pub(crate) pod: String,
    /// The namespace and the EtcdCluster of the seat. Neither is there until the cluster has confirmed the member if an
    /// earlier build did not note them, or if the data came without an identity.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) home: Option<Home>,
    /// The member that was added for this volume, once it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) join: Option<JoinRecord>,
    /// A write-ahead log was seen for the present member: one that is missing later is lost.
    #[serde(default)]
    pub(crate) wal_seen: bool,
    /// This volume claimed the birth record, and may found the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<FoundingClaim>,
    /// The member on this volume was removed from its cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tombstone: Option<Tombstone>,
    /// The image and settings with which etcd served last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_good: Option<LastGood>,
    /// Data that etcd could not open was set aside on this volume: that is done once.
    #[serde(default)]
    pub(crate) discarded_corrupt: bool,
    /// An archiving that has begun; see [`archive`](super::archive).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) archiving: Option<PendingArchive>,
    /// Keys that a newer version wrote and this one does not know; they are kept.
    #[serde(flatten)]
    pub(crate) unknown: BTreeMap<String, Value>,
}

/// The place of a cluster: without it, a copy of a volume in another namespace would run as a live member's second self.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Home {
    pub(crate) namespace: String,
    /// The name of the EtcdCluster.
    pub(crate) cluster: String,
}

/// A member that was added to a cluster for a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JoinRecord {
    /// The ID that the cluster gave the member.
    #[serde(with = "hex")]
    pub(crate) member_id: u64,
    #[serde(with = "hex")]
    pub(crate) cluster_id: u64,
}

/// The claim that a volume made on the birth record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundingClaim {
    pub(crate) token: String,
    /// The cluster ID that follows from it.
    #[serde(with = "hex")]
    pub(crate) cluster_id: u64,
}

/// A member that was removed from its cluster, and so never runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tombstone {
    /// The member that was removed.
    #[serde(with = "hex")]
    pub(crate) member_id: u64,
    /// The cluster that removed it.
    #[serde(with = "hex")]
    pub(crate) cluster_id: u64,
}

/// Image and settings of the last start that served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastGood {
    /// The image of the etcd container.
    pub(crate) image: String,
    #[serde(default)]
    pub(crate) options: Vec<String>,
}

/// An archiving that was recorded; opening the volume finishes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PendingArchive {
    /// The name of the directory below `archive/`; none if there was no data.
    pub(crate) directory: Option<String>,
    /// The line for `why.txt`.
    pub(crate) line: String,
    /// The name of the new volume.
    pub(crate) volume: String,
    pub(crate) discarded_corrupt: bool,
    /// True if the volume keeps its identity: nothing was ever committed in the data.
    #[serde(default)]
    pub(crate) unborn: bool,
}

impl VolumeIdentity {
    /// The identity of a volume that has nothing on it yet.
    pub(crate) fn new(volume: String, pod: &str, home: Option<Home>) -> Self {
        Self {
            volume,
            pod: pod.to_owned(),
            home,
            join: None,
            wal_seen: false,
            claim: None,
            tombstone: None,
            last_good: None,
            discarded_corrupt: false,
            archiving: None,
            unknown: BTreeMap::new(),
        }
    }
}

/// A random (version 4) UUID from 16 random bytes.
pub(crate) fn uuid_v4(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (i, byte) in random.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

pub(crate) fn path(root: &Path) -> PathBuf {
    root.join("identity.json")
}

/// Reads the identity; `None` if there is no identity file.
pub(crate) fn read(root: &Path) -> Result<Option<VolumeIdentity>> {
    let path = path(root);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(VolumeError::io("read", &path)(error)),
    };
    match serde_json::from_slice::<VolumeIdentity>(&text) {
        Ok(identity) => Ok(Some(identity)),
        Err(error) => Err(VolumeError::Identity {
            path,
            why: error.to_string(),
        }),
    }
}

/// Replaces the identity: after a crash the file has the old or the new content, whole.
pub(crate) fn write(root: &Path, identity: &VolumeIdentity) -> Result<()> {
    let path = path(root);
    let stored = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let mut text = text(identity, stored).map_err(|error| VolumeError::Identity {
        path: path.clone(),
        why: error.to_string(),
    })?;
    text.push(b'\n');
    write_atomically(root, &path, &text)
}

/// The identity as text. A note that says what it says in the file already stays as it is there, since a newer version
/// may have written more into it.
fn text(identity: &VolumeIdentity, stored: Option<Value>) -> serde_json::Result<Vec<u8>> {
    let mut next = serde_json::to_value(identity)?;
    for (name, stored) in stored.as_ref().and_then(Value::as_object).into_iter().flatten() {
        if let (Some(Value::Object(note)), Value::Object(stored)) = (next.get_mut(name), stored)
            && note.iter().all(|(key, value)| stored.get(key) == Some(value))
        {
            note.clone_from(stored);
        }
    }
    serde_json::to_vec_pretty(&next)
}

/// Writes a file of the directory `dir` so that it is whole or absent, whatever happens.
pub(crate) fn write_atomically(dir: &Path, path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(VolumeError::io("write", &temporary))?;
    fs::rename(&temporary, path).map_err(VolumeError::io("replace", path))?;
    sync_dir(dir)
}

#[cfg(test)]
mod tests;
