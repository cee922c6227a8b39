//! The volume: its identity, and what etcd left on it.

use muster_membership::{ClusterId, Disk, Identity, MemberId, founding_member_id};

use crate::sidecar::agent::Agent;
use crate::volume::Volume;

impl Agent {
    /// Opens the volume if it is not open, and notes what is on it.
    pub(super) fn look_at_volume(&mut self) {
        if self.volume.is_none() {
            match Volume::open(
                &self.config.volume,
                &self.config.pod,
                &self.config.home(),
                rand::random(),
            ) {
                Ok(volume) => self.volume = Some(volume),
                Err(error) => {
                    self.observed.disk = Disk {
                        unreadable: Some(error.to_string()),
                        ..Disk::default()
                    };
                    return;
                }
            }
        }
        let Some(volume) = &self.volume else { return };
        self.observed.me.volume.clone_from(&volume.identity().volume);
        self.observed.disk = disk(volume, &self.observed.me.peer_url);
    }
}

/// The volume as the core sees it.
fn disk(volume: &Volume, peer_url: &str) -> Disk {
    let identity = volume.identity();
    let join = identity.join.map(|j| Identity {
        member: MemberId(j.member_id),
        cluster: ClusterId(j.cluster_id),
    });
    let (wal, unreadable) = match volume.wal_metadata() {
        Ok(Some(found)) => match volume.is_unborn() {
            // Nothing in it was ever acknowledged, and etcd cannot go on from there.
            Ok(true) => (None, None),
            Ok(false) => {
                let found = Identity {
                    member: MemberId(found.node_id),
                    cluster: ClusterId(found.cluster_id),
                };
                (Some(found), None)
            }
            // A start from it might wait for ever.
            Err(error) => (None, Some(error.to_string())),
        },
        Ok(None) => (None, None),
        // A log whose head is damaged is for etcd to judge; the member that it belongs to is noted beside it.
        Err(error) => {
            let founded = identity.claim.as_ref().map(|claim| Identity {
                member: founding_member_id(peer_url, &claim.token),
                cluster: ClusterId(claim.cluster_id),
            });
            let known = join.or(founded);
            (known, known.is_none().then(|| error.to_string()))
        }
    };
    let archiving = volume
        .is_archiving()
        .then(|| "data is being set aside, and that could not be finished".to_owned());
    Disk {
        wal,
        join,
        wal_seen: identity.wal_seen,
        nameless: identity.home.is_none(),
        leftovers: wal.is_none() && volume.data_dir().join("member").exists(),
        tombstone: identity.tombstone.map(|t| Identity {
            member: MemberId(t.member_id),
            cluster: ClusterId(t.cluster_id),
        }),
        corrupt_before: identity.discarded_corrupt,
        unreadable: unreadable.or(archiving),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Home;

    #[test]
    fn a_volume_of_an_earlier_build_is_nameless_until_its_home_is_noted() {
        let root = tempfile::tempdir().unwrap();
        let home = Home {
            namespace: "a".to_owned(),
            cluster: "c1".to_owned(),
        };
        let open = || Volume::open(root.path(), "c1-0", &home, [7; 16]).unwrap();
        std::fs::write(root.path().join("identity.json"), r#"{"volume": "v", "pod": "c1-0"}"#).unwrap();
        assert!(disk(&open(), "http://c1-0").nameless);
        open().update(|identity| identity.home = Some(home.clone())).unwrap();
        assert!(!disk(&open(), "http://c1-0").nameless);
    }
}
