//! Changes on the volume: notes in the identity file, data set aside, archives deleted.

use muster_membership::{ArchiveReason, Time};

use crate::sidecar::agent::Agent;
use crate::sidecar::clock::wall_clock;
use crate::volume::{Archiving, Tombstone, Volume, VolumeIdentity};

/// Archives that are kept, unless the disk is nearly full.
const KEEP: usize = 1;
/// Per cent of free disk below which the newest archive goes too.
const MIN_FREE_PERCENT: u8 = 5;

impl Agent {
    /// Changes the identity file, durably.
    pub(crate) fn update_volume(&mut self, change: impl FnOnce(&mut VolumeIdentity)) -> anyhow::Result<()> {
        let volume = opened(&mut self.volume)?;
        Ok(volume.update(change)?)
    }

    /// Notes on the volume that its member was removed.
    pub(super) fn note_tombstone(&mut self) -> anyhow::Result<()> {
        let wal = self.observed.disk.wal;
        self.update_volume(|id| {
            id.tombstone = wal.map(|w| Tombstone {
                member_id: w.member.0,
                cluster_id: w.cluster.0,
            });
        })
    }

    /// Sets the volume's data aside.
    pub(super) fn archive(&mut self, reason: ArchiveReason, why: &str) -> anyhow::Result<()> {
        let wal = self.observed.disk.wal.or(self.observed.disk.join);
        let volume = opened(&mut self.volume)?;
        let archiving = Archiving {
            reason: reason.to_string(),
            why: why.to_owned(),
            at: wall_clock(),
            member_id: wal.map(|w| w.member.0),
            cluster_id: wal.map(|w| w.cluster.0),
            random: rand::random(),
            discarded_corrupt: self.observed.disk.corrupt_before || reason == ArchiveReason::Corrupt,
        };
        let result = volume.archive(archiving);
        if result.is_err() {
            // Opening it again finishes what was begun.
            self.volume = None;
        }
        result?;
        Ok(())
    }

    pub(super) fn prune_archives(&mut self) -> anyhow::Result<()> {
        opened(&mut self.volume)?.prune(KEEP, MIN_FREE_PERCENT)?;
        self.memory.pruned = true;
        Ok(())
    }

    /// Notes on a volume of an earlier build which cluster it belongs to: the one that lists its member under this
    /// seat's own URL, which names the namespace.
    pub(crate) fn note_home(&mut self, now: Time) {
        let noted = self
            .volume
            .as_ref()
            .is_none_or(|volume| volume.identity().home.is_some());
        let (false, Some(list), Some(status)) = (noted, &self.observed.local_list, self.observed.local.fresh(now))
        else {
            return;
        };
        let listed = list.members.get(&status.identity.member);
        let here = listed.is_some_and(|member| member.peer_urls.contains(&self.observed.me.peer_url));
        if !here || list.cluster != status.identity.cluster || status.leader.is_none() {
            return;
        }
        let home = self.config.home();
        if let Err(error) = self.update_volume(|id| id.home = Some(home)) {
            tracing::warn!(%error, "the cluster of this volume could not be noted on it");
        }
    }

    /// Notes the image and settings of an etcd that serves: they can open this data.
    pub(crate) fn note_good_start(&mut self, now: Time) {
        let serves = self
            .observed
            .local
            .fresh(now)
            .is_some_and(|status| status.leader.is_some());
        let settings = self.settings();
        let known = self
            .volume
            .as_ref()
            .is_some_and(|v| v.identity().last_good.as_ref() == Some(&settings));
        if serves
            && !known
            && let Err(error) = self.update_volume(|id| id.last_good = Some(settings))
        {
            tracing::warn!(%error, "the settings that serve could not be noted on the volume");
        }
    }
}

/// The volume, if it is open.
pub(super) fn opened(volume: &mut Option<Volume>) -> anyhow::Result<&mut Volume> {
    volume.as_mut().ok_or_else(|| anyhow::anyhow!("the volume is not open"))
}
