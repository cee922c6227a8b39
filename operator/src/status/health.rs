//! The health of a cluster, from its pods, its plan, and what agents publish. No client.

use std::collections::{BTreeMap, BTreeSet};

use muster_api::Reason;
use muster_api::names::Names;
use muster_api::status::{EtcdClusterStatus, MemberStatus, Quorum, Role, SeatPhase, SeatStatus};

use self::trouble::Trouble;
use crate::apply::Applied;
use crate::conditions::{
    DEGRADED, EVEN_SIZE, Finding, PROGRESSING, QUORUM_LOST, READY, SHARED_NODE, STALLED, Summary, VERSION_ADVISORY,
    VERSION_MISMATCH,
};
use crate::dereference::{ObservedCluster, PodView};
use crate::obstacle::Obstacle;
use crate::plan::Plan;
use crate::plan::birth_record::{self, RecordStep};
use crate::plan::size::{SizePlan, SizeStep};
use crate::validate::ValidatedCluster;
use crate::written;

mod placement;
#[cfg(test)]
mod tests;
mod trouble;

/// The facts that the health of a cluster is judged from.
#[derive(Debug, Clone)]
pub(crate) struct HealthInput<'a> {
    pub(crate) cluster: &'a ValidatedCluster,
    pub(crate) plan: &'a SizePlan,
    pub(crate) pods: &'a [PodView],
    /// The status that agents have published.
    pub(crate) status: &'a EtcdClusterStatus,
    /// Number of pods that wait to be replaced.
    pub(crate) outdated: usize,
    pub(crate) record_missing: bool,
    /// The mistake in a birth record that agents cannot read.
    pub(crate) record_damage: Option<String>,
    /// The obstacles that keep wanted pods from running, by seat.
    pub(crate) obstacles: &'a BTreeMap<u32, Obstacle>,
    /// The clause that says which eviction is refused, and why.
    pub(crate) refusal: Option<&'a str>,
    /// The sentence about pods that run another version than the template says.
    pub(crate) mismatch: Option<String>,
}

/// A cluster's summary and conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) summary: Summary,
    /// The cause of what is out of order, if something is.
    pub(crate) cause: Option<Reason>,
    pub(crate) findings: Vec<Finding>,
}

pub(crate) fn assess(input: &HealthInput<'_>) -> Health {
    if let Some(message) = input.cluster_lost() {
        return lost(input, &message);
    }
    let quorum = input.quorum();
    let hindrances = input.hindrances();
    let progress = input.progress().map(|progress| progress.held_up_by(&hindrances));
    let trouble = input.trouble(quorum, progress.is_some());
    let asleep = input.plan.size == 0;
    let cause = input.cause(trouble.as_ref());
    let summary = match (&progress, &trouble) {
        _ if asleep && input.unready().is_empty() && input.pods.is_empty() => Summary::Hibernated,
        _ if quorum == Quorum::Lost && input.plan.step != SizeStep::Rescue => Summary::QuorumLost,
        (Some(progress), _) => progress.summary,
        (None, Some(_)) => Summary::Degraded,
        (None, None) => Summary::Ready,
    };
    let lost = match quorum {
        Quorum::Ok => Finding::new(QUORUM_LOST, false, Reason::QuorumPresent, "The cluster serves."),
        Quorum::Lost => Finding::new(QUORUM_LOST, true, Reason::QuorumLost, input.lost_quorum()),
        Quorum::Unknown => Finding::new(
            QUORUM_LOST,
            None,
            Reason::Unknown,
            "No member says whether there is a quorum.",
        ),
    };
    let mut findings = vec![
        input.ready(quorum, trouble.as_ref(), progress.as_ref()),
        match progress {
            Some(progress) => Finding::new(PROGRESSING, true, progress.reason, progress.message),
            None => Finding::new(PROGRESSING, false, Reason::Steady, input.plan.why.clone()),
        },
        match trouble {
            Some(trouble) => Finding::new(DEGRADED, true, trouble.reason, trouble.message),
            None => Finding::new(DEGRADED, false, Reason::AsExpected, "Nothing is out of order."),
        },
        lost,
    ];
    findings.extend(input.warnings());
    Health {
        summary,
        cause,
        findings,
    }
}

/// Every volume is gone: nothing happens until a person decides.
fn lost(input: &HealthInput<'_>, message: &str) -> Health {
    let finding = |kind, holds| Finding::new(kind, holds, Reason::ClusterLost, message);
    let mut findings = vec![
        finding(READY, false),
        finding(PROGRESSING, false),
        finding(DEGRADED, true),
        finding(QUORUM_LOST, true),
        finding(STALLED, true),
    ];
    findings.extend(input.warnings());
    Health {
        summary: Summary::Lost,
        cause: Some(Reason::ClusterLost),
        findings,
    }
}

struct Progress {
    summary: Summary,
    reason: Reason,
    message: String,
}

impl Progress {
    /// The step, and what keeps it from its end unless the step's own sentence has it.
    fn held_up_by(mut self, sentences: &[String]) -> Self {
        for sentence in sentences {
            if !self.message.contains(sentence) {
                self.message = format!("{} {sentence}", self.message);
            }
        }
        self
    }
}

impl<'a> HealthInput<'a> {
    pub(crate) fn new(
        cluster: &'a ValidatedCluster,
        observed: &'a ObservedCluster,
        published: &'a EtcdClusterStatus,
        plan: &'a Plan,
        applied: &Applied,
    ) -> Self {
        Self {
            cluster,
            plan: &plan.size,
            pods: &observed.pods,
            status: published,
            outdated: plan.rollout.outdated(applied.set()),
            record_missing: plan.record == RecordStep::Missing,
            record_damage: observed.record.as_ref().and_then(birth_record::damage),
            obstacles: &observed.obstacles,
            refusal: None,
            mismatch: written::mismatch(observed, published),
        }
    }

    /// The same facts, with an eviction that is refused.
    pub(crate) fn with_refusal(self, refusal: Option<&'a str>) -> Self {
        Self { refusal, ..self }
    }

    fn names(&self) -> &Names {
        &self.cluster.names
    }

    /// Lost only if nobody sees a quorum: a member that is cut off does not
    /// speak for the others. A pod that is not ready may not have spoken at all:
    /// what its seat saw is what the pod before it saw.
    fn quorum(&self) -> Quorum {
        let ready = |seat: &SeatStatus| self.pods.iter().any(|pod| pod.name == seat.name && pod.ready);
        let views: Vec<Quorum> = self
            .alive()
            .filter(|seat| seat.quorum == Quorum::Lost || ready(seat))
            .map(|seat| seat.quorum)
            .collect();
        [Quorum::Ok, Quorum::Lost]
            .into_iter()
            .find(|view| views.contains(view))
            .unwrap_or(Quorum::Unknown)
    }

    /// The entries of seats whose pods are there to stay: what others said is of the past.
    fn alive(&self) -> impl Iterator<Item = &SeatStatus> {
        self.status.seats.iter().filter(|seat| {
            let stays = |pod: &PodView| pod.name == seat.name && pod.seat < self.plan.replicas;
            self.pods.iter().any(stays)
        })
    }

    /// The sentence of a seat that found every volume empty. It does not count while a member runs
    /// anywhere, or while the number of pods changes: the seat may be about to change its mind.
    fn cluster_lost(&self) -> Option<String> {
        let settled = matches!(
            self.plan.step,
            SizeStep::Keep | SizeStep::AwaitReady | SizeStep::AwaitMembers
        );
        let seat = self.alive().find(|seat| seat.phase == SeatPhase::Lost)?;
        // Without the seat's name: whichever of them says it, it is the same.
        let nobody_runs = self.alive().all(|seat| seat.quorum == Quorum::Unknown);
        (settled && nobody_runs).then(|| format!("A person has to decide: {}", seat.why))
    }

    /// The condition that all is as it should be. What is out of order comes before what is under way: it may be why
    /// nothing moves.
    fn ready(&self, quorum: Quorum, trouble: Option<&Trouble>, progress: Option<&Progress>) -> Finding {
        let finding = |reason, message: &str| Finding::new(READY, false, reason, message);
        match (trouble, progress) {
            _ if self.plan.size == 0 && self.cluster.claim.is_some() => {
                finding(Reason::Hibernated, "The cluster has no pods, and all its data is kept.")
            }
            _ if self.plan.size == 0 => finding(
                Reason::Hibernated,
                "The cluster has no pods. Its storage is ephemeral, so its data went with them.",
            ),
            _ if quorum == Quorum::Lost => finding(Reason::QuorumLost, &self.lost_quorum()),
            (Some(trouble), _) => finding(trouble.reason, &trouble.message),
            (None, Some(progress)) => finding(progress.reason, &progress.message),
            (None, None) => {
                let all_ready = match self.plan.size {
                    1 => "The one member votes and is ready.".to_owned(),
                    size => format!("All {size} members vote and are ready."),
                };
                Finding::new(READY, true, Reason::MembersReady, all_ready)
            }
        }
    }

    fn progress(&self) -> Option<Progress> {
        let (summary, reason) = match self.plan.step {
            SizeStep::Create => (Summary::Creating, Reason::Creating),
            SizeStep::Grow => (Summary::Growing, Reason::Growing),
            SizeStep::AnnounceShrink | SizeStep::AwaitMembers | SizeStep::Lower => {
                (Summary::Shrinking, Reason::Shrinking)
            }
            SizeStep::AwaitReady => (Summary::ShrinkWaiting, Reason::ShrinkWaiting),
            SizeStep::Hibernate => (Summary::Hibernating, Reason::Hibernating),
            SizeStep::Wake => (Summary::Waking, Reason::Waking),
            SizeStep::Rescue => (Summary::Rescuing, Reason::Rescuing),
            SizeStep::Keep => return self.settling(),
        };
        Some(Progress {
            summary,
            reason,
            message: self.plan.why.clone(),
        })
    }

    /// Replicas are right; pods and members may not be there yet.
    fn settling(&self) -> Option<Progress> {
        if self.plan.size == 0 {
            return (!self.pods.is_empty()).then(|| Progress {
                summary: Summary::Hibernating,
                reason: Reason::Hibernating,
                message: "The pods end; no member leaves.".into(),
            });
        }
        if self.status.cluster_id.is_none() {
            return Some(Progress {
                summary: Summary::Creating,
                reason: Reason::Creating,
                message: self.waiting_seats(),
            });
        }
        let voters: BTreeSet<u32> = self.seats_of(|member| member.role == Role::Voter && member.started);
        if let Some(seat) = (0..self.plan.size).find(|seat| !voters.contains(seat)) {
            let message = self
                .seat_sentence(seat)
                .unwrap_or_else(|| format!("{} is about to join.", self.names().pod(seat)));
            return Some(Progress {
                summary: Summary::Joining,
                reason: Reason::Joining,
                message,
            });
        }
        let extra = self.status.members.len().saturating_sub(self.plan.size as usize);
        if extra > 0 {
            let message = format!(
                "The member list still has {extra} more than the {} that are wanted.",
                self.plan.size
            );
            return Some(Progress {
                summary: Summary::Leaving,
                reason: Reason::Leaving,
                message,
            });
        }
        (self.outdated > 0).then(|| Progress {
            summary: Summary::Updating,
            reason: Reason::Updating,
            message: format!(
                "{} of {} pods wait to be replaced, one at a time.",
                self.outdated, self.plan.size
            ),
        })
    }

    fn warnings(&self) -> Vec<Finding> {
        let size = self.plan.size;
        let even = (size >= 2 && size.is_multiple_of(2)).then(|| {
            let message = format!("{size} members tolerate no more failures than {}.", size - 1);
            Finding::new(EVEN_SIZE, true, Reason::EvenSize, message)
        });
        let advisory = self
            .cluster
            .version
            .advisory()
            .map(|text| Finding::new(VERSION_ADVISORY, true, Reason::KnownDefects, text));
        let shared = self
            .shared_nodes()
            .map(|text| Finding::new(SHARED_NODE, true, Reason::MembersShareNode, text));
        let mismatch = self
            .mismatch
            .as_ref()
            .map(|text| Finding::new(VERSION_MISMATCH, true, Reason::VersionMismatch, text.clone()));
        even.into_iter().chain(advisory).chain(shared).chain(mismatch).collect()
    }

    fn unready(&self) -> Vec<u32> {
        let ready: BTreeSet<u32> = self
            .pods
            .iter()
            .filter(|pod| pod.ready && !pod.terminating)
            .map(|pod| pod.seat)
            .collect();
        (0..self.plan.size).filter(|seat| !ready.contains(seat)).collect()
    }

    fn seats_of(&self, which: impl Fn(&&MemberStatus) -> bool) -> BTreeSet<u32> {
        let seat = |member: &MemberStatus| self.names().seat_of_peer_url(&member.peer_url);
        self.status.members.iter().filter(which).filter_map(seat).collect()
    }
}
