//! The health of a cluster, from its pods, its plan, and what agents publish. No client.

use std::collections::BTreeSet;

use muster_api::Reason;
use muster_api::names::Names;
use muster_api::status::{EtcdClusterStatus, MemberStatus, Quorum, Role, SeatPhase, SeatStatus};

use crate::apply::Applied;
use crate::conditions::{
    DEGRADED, EVEN_SIZE, Finding, PROGRESSING, QUORUM_LOST, READY, SHARED_NODE, STALLED, Summary, VERSION_ADVISORY,
    VERSION_MISMATCH,
};
use crate::dereference::{ObservedCluster, PodView};
use crate::plan::Plan;
use crate::plan::birth_record::{self, RecordStep};
use crate::plan::size::{SizePlan, SizeStep};
use crate::validate::ValidatedCluster;
use crate::written;

mod placement;
#[cfg(test)]
mod tests;

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
    /// The sentence about pods that run another version than the template says.
    pub(crate) mismatch: Option<String>,
}

/// A cluster's summary and conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) summary: Summary,
    pub(crate) findings: Vec<Finding>,
}

pub(crate) fn assess(input: &HealthInput<'_>) -> Health {
    if let Some(message) = input.cluster_lost() {
        return lost(input, &message);
    }
    let quorum = input.quorum();
    let progress = input.progress();
    let trouble = input.trouble(quorum, progress.is_some());
    let unready = input.unready();
    let asleep = input.plan.size == 0;

    let all_ready = match input.plan.size {
        1 => "The one member votes and is ready.".to_owned(),
        size => format!("All {size} members vote and are ready."),
    };
    let ready = if asleep {
        Finding::new(
            READY,
            false,
            Reason::Hibernated,
            if input.cluster.claim.is_some() {
                "The cluster has no pods, and all its data is kept."
            } else {
                "The cluster has no pods. Its storage is ephemeral, so its data went with them."
            },
        )
    } else if quorum == Quorum::Lost {
        Finding::new(READY, false, Reason::QuorumLost, input.lost_quorum())
    } else if let Some(progress) = &progress {
        Finding::new(READY, false, progress.reason, progress.message.clone())
    } else if let Some(trouble) = &trouble {
        Finding::new(READY, false, trouble.reason, trouble.message.clone())
    } else {
        Finding::new(READY, true, Reason::MembersReady, all_ready)
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
    let summary = match (&progress, &trouble) {
        _ if asleep && unready.is_empty() && input.pods.is_empty() => Summary::Hibernated,
        _ if quorum == Quorum::Lost && input.plan.step != SizeStep::Rescue => Summary::QuorumLost,
        (Some(progress), _) => progress.summary,
        (None, Some(_)) => Summary::Degraded,
        (None, None) => Summary::Ready,
    };

    let mut findings = vec![
        ready,
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
    Health { summary, findings }
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
        findings,
    }
}

struct Progress {
    summary: Summary,
    reason: Reason,
    message: String,
}

struct Trouble {
    reason: Reason,
    message: String,
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
            mismatch: written::mismatch(observed, published),
        }
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

    fn trouble(&self, quorum: Quorum, progressing: bool) -> Option<Trouble> {
        if self.record_missing {
            let message = format!(
                "ConfigMap {} is missing, and no agent has published the cluster's ID yet; until one does, no member can join.",
                self.names().birth_record()
            );
            return Some(Trouble {
                reason: Reason::BirthRecordMissing,
                message,
            });
        }
        if let Some(damage) = &self.record_damage {
            let message = format!(
                "ConfigMap {} cannot be read, so no member can join until it is corrected: {damage}.",
                self.names().birth_record()
            );
            return Some(Trouble {
                reason: Reason::BirthRecordDamaged,
                message,
            });
        }
        let refused = self.status.seats.iter().find(|seat| seat.phase == SeatPhase::Refused);
        if let Some(seat) = refused {
            return Some(Trouble {
                reason: Reason::SeatRefused,
                message: sentence(seat),
            });
        }
        if quorum == Quorum::Lost {
            return Some(Trouble {
                reason: Reason::QuorumLost,
                message: self.lost_quorum(),
            });
        }
        (!progressing && !self.unready().is_empty()).then(|| Trouble {
            reason: Reason::MembersNotReady,
            message: self.waiting_seats(),
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

    /// The sentences of the seats that are not ready.
    fn waiting_seats(&self) -> String {
        let unready = self.unready();
        let said: Vec<String> = unready.iter().filter_map(|seat| self.seat_sentence(*seat)).collect();
        if !said.is_empty() {
            return said.join(" ");
        }
        let names: Vec<String> = unready.iter().map(|seat| self.names().pod(*seat)).collect();
        match names.as_slice() {
            [] => "Every pod is ready.".to_owned(),
            [name] => format!("{name} is not ready."),
            _ => format!("{} are not ready.", names.join(", ")),
        }
    }

    /// The seats that miss the quorum, the sentences of the others, and the next command for a person.
    fn lost_quorum(&self) -> String {
        let (lost, others): (Vec<&SeatStatus>, Vec<&SeatStatus>) =
            self.alive().partition(|seat| seat.quorum == Quorum::Lost);
        let names: Vec<&str> = lost.iter().map(|seat| seat.name.as_str()).collect();
        let voters = lost.iter().map(|seat| seat.voters).max().unwrap_or(0);
        // The sentence of one that is left has the command that fits how it stands.
        let first = lost.iter().min_by_key(|seat| seat.phase != SeatPhase::Voter);
        let own: String = first.iter().map(|seat| format!(" {}.", sentence(seat))).collect();
        let said: String = others.iter().map(|seat| format!(" {}.", sentence(seat))).collect();
        if self.plan.step == SizeStep::Rescue {
            return format!("{}{said}", self.plan.why);
        }
        let namespace = self.cluster.namespace.iter().map(|name| format!(" --namespace {name}"));
        let kubectl = format!("kubectl{}", namespace.collect::<String>());
        format!(
            "{} of {voters} voters answer without a quorum: {}. It is back as soon as enough of the others are: {kubectl} get pods --selector {}.{own}{said}",
            lost.len(),
            names.join(", "),
            self.names().selector_text(),
        )
    }

    /// The sentence about a seat that is not ready: of Kubernetes, if that keeps its pod from running, else the agent's.
    fn seat_sentence(&self, seat: u32) -> Option<String> {
        let pod = self.names().pod(seat);
        let unready = self.pods.iter().find(|view| view.name == pod && !view.ready);
        if let Some(obstacle) = unready.and_then(|view| view.obstacle.as_ref()) {
            return Some(format!("{pod}: {obstacle}."));
        }
        self.status.seats.iter().find(|entry| entry.name == pod).map(sentence)
    }
}

/// A seat's sentence, with the reason that its agent gives, which may be a word of another release.
fn sentence(seat: &SeatStatus) -> String {
    let reason = match seat.reason.as_str() {
        "" => String::new(),
        reason => format!(", {reason}"),
    };
    format!("{} ({}{reason}): {}", seat.name, seat.phase, seat.why)
}
