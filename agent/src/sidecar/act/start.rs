//! The start of etcd: the flags go to the launcher, after what must be durable is on the volume.

use muster_membership::{StartPlan, founding_cluster_id};

use super::volume::opened;
use crate::flags::{SeatFlags, start_flags};
use crate::sidecar::agent::Agent;
use crate::sidecar::clock::wall_clock;
use crate::volume::{Archiving, FoundingClaim};

impl Agent {
    /// Has the launcher start etcd.
    pub(super) fn start(&mut self, plan: &StartPlan) -> anyhow::Result<()> {
        if let StartPlan::New { token } = plan {
            // The record may hold the claim of an earlier attempt whose write seemed lost: the record counts.
            let claim = FoundingClaim {
                token: token.clone(),
                cluster_id: founding_cluster_id(&self.observed.me.peer_url, token).0,
            };
            self.update_volume(|id| id.claim = Some(claim))?;
            self.set_unborn_aside()?;
        }
        if let StartPlan::Existing { .. } = plan {
            for archive in opened(&mut self.volume)?.make_room()? {
                tracing::info!(%archive, "an older archive is deleted: the database to come has no room beside it");
            }
        }
        let (options, data_dir) = (self.config.options()?, self.config.data_dir());
        let seat = SeatFlags {
            name: &self.config.pod,
            data_dir: &data_dir,
            peer_url: &self.observed.me.peer_url,
            ipv6: self.config.pod_ip.is_ipv6(),
            options: &options,
        };
        let args = start_flags(seat, plan);
        self.next_plan += 1;
        Ok(self.launcher.send_start(self.next_plan, args, data_dir)?)
    }

    /// Archives a log without a single commit: etcd would resume from it, and wait for a leader for ever.
    fn set_unborn_aside(&mut self) -> anyhow::Result<()> {
        let volume = opened(&mut self.volume)?;
        if !volume.is_unborn()? {
            return Ok(());
        }
        let found = volume.wal_metadata()?;
        let archiving = Archiving {
            reason: "unborn".into(),
            why: "etcd was ended before it had written anything: the founding begins again".into(),
            at: wall_clock(),
            member_id: found.map(|m| m.node_id),
            cluster_id: found.map(|m| m.cluster_id),
            random: rand::random(),
            discarded_corrupt: self.observed.disk.corrupt_before,
        };
        match volume.archive_unborn(archiving) {
            Ok(_) => tracing::info!("a log without a single commit is set aside"),
            Err(error) => {
                // Opening it again finishes what was begun.
                self.volume = None;
                return Err(error.into());
            }
        }
        if let Err(error) = volume.prune_unborn() {
            tracing::warn!(%error, "older logs without a commit could not be deleted");
        }
        Ok(())
    }
}
