//! How a cluster is, judged from its pods, its plan, and what agents publish.

use std::collections::BTreeSet;

use muster_api::names::Names;
use muster_api::status::{EtcdClusterStatus, MemberStatus, Quorum, Role, SeatPhase, SeatStatus};

use crate::conditions::{DEGRADED, EVEN_SIZE, Finding, PROGRESSING, QUORUM_LOST, READY, STALLED, VERSION_ADVISORY};
use crate::dereference::PodView;
use crate::plan::size::{Plan, Step};
use crate::validate::ValidatedCluster;

#[cfg(test)]
mod tests;

/// What a judgement is based on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The cluster.
    pub cluster: &'a ValidatedCluster,
    /// What sizing decided.
    pub plan: &'a Plan,
    /// The pods.
    pub pods: &'a [PodView],
    /// What agents have published.
    pub status: &'a EtcdClusterStatus,
    /// How many pods wait to be replaced.
    pub outdated: usize,
    /// Whether the birth record is missing.
    pub record_missing: bool,
    /// What is wrong with the birth record, if agents cannot read it.
    pub record_damage: Option<&'a str>,
}

/// A judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// A word or two.
    pub summary: &'static str,
    /// The conditions.
    pub findings: Vec<Finding>,
}

/// Judges a cluster.
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    if let Some(message) = evidence.cluster_lost() {
        return lost(evidence, &message);
    }
    let quorum = evidence.quorum();
    let progress = evidence.progress();
    let trouble = evidence.trouble(quorum, progress.is_some());
    let unready = evidence.unready();
    let asleep = evidence.plan.size == 0;

    let all_ready = match evidence.plan.size {
        1 => "The one member votes and is ready.".to_owned(),
        size => format!("All {size} members vote and are ready."),
    };
    let ready = if asleep {
        Finding::new(
            READY,
            false,
            "Hibernated",
            "The cluster has no pods, and all its data is kept.",
        )
    } else if quorum == Quorum::Lost {
        Finding::new(READY, false, "QuorumLost", evidence.lost_quorum())
    } else if let Some(progress) = &progress {
        Finding::new(READY, false, progress.reason, progress.message.clone())
    } else if let Some(trouble) = &trouble {
        Finding::new(READY, false, trouble.reason, trouble.message.clone())
    } else {
        Finding::new(READY, true, "MembersReady", all_ready)
    };
    let lost = match quorum {
        Quorum::Ok => Finding::new(QUORUM_LOST, false, "QuorumPresent", "The cluster serves."),
        Quorum::Lost => Finding::new(QUORUM_LOST, true, "QuorumLost", evidence.lost_quorum()),
        Quorum::Unknown => Finding::new(
            QUORUM_LOST,
            None,
            "Unknown",
            "No member says whether there is a quorum.",
        ),
    };
    let summary = match (&progress, &trouble) {
        _ if asleep && unready.is_empty() && evidence.pods.is_empty() => "Hibernated",
        _ if quorum == Quorum::Lost && evidence.plan.step != Step::Rescue => "QuorumLost",
        (Some(progress), _) => progress.summary,
        (None, Some(_)) => "Degraded",
        (None, None) => "Ready",
    };

    let mut findings = vec![
        ready,
        match progress {
            Some(progress) => Finding::new(PROGRESSING, true, progress.reason, progress.message),
            None => Finding::new(PROGRESSING, false, "Steady", evidence.plan.why.clone()),
        },
        match trouble {
            Some(trouble) => Finding::new(DEGRADED, true, trouble.reason, trouble.message),
            None => Finding::new(DEGRADED, false, "AsExpected", "Nothing is out of order."),
        },
        lost,
    ];
    findings.extend(evidence.warnings());
    Verdict { summary, findings }
}

/// Every volume is gone: nothing happens until a person decides.
fn lost(evidence: &Evidence<'_>, message: &str) -> Verdict {
    let finding = |kind, holds| Finding::new(kind, holds, "ClusterLost", message);
    let mut findings = vec![
        finding(READY, false),
        finding(PROGRESSING, false),
        finding(DEGRADED, true),
        finding(QUORUM_LOST, true),
        finding(STALLED, true),
    ];
    findings.extend(evidence.warnings());
    Verdict {
        summary: "Lost",
        findings,
    }
}

struct Progress {
    summary: &'static str,
    reason: &'static str,
    message: String,
}

struct Trouble {
    reason: &'static str,
    message: String,
}

impl Evidence<'_> {
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

    /// What a seat says that found every volume empty. It does not count while a member runs
    /// anywhere, or while the number of pods changes: it may be about to change its mind.
    fn cluster_lost(&self) -> Option<String> {
        let settled = matches!(self.plan.step, Step::Keep | Step::AwaitReady | Step::AwaitMembers);
        let seat = self.alive().find(|seat| seat.phase == SeatPhase::Lost)?;
        // Without the seat's name: whichever of them says it, it is the same.
        let nobody_runs = self.alive().all(|seat| seat.quorum == Quorum::Unknown);
        (settled && nobody_runs).then(|| format!("A person has to decide: {}", seat.why))
    }

    fn progress(&self) -> Option<Progress> {
        let (summary, reason) = match self.plan.step {
            Step::Create => ("Creating", "Creating"),
            Step::Grow => ("Growing", "Growing"),
            Step::AnnounceShrink | Step::AwaitMembers | Step::Lower => ("Shrinking", "Shrinking"),
            Step::AwaitReady => ("ShrinkWaiting", "ShrinkWaiting"),
            Step::Hibernate => ("Hibernating", "Hibernating"),
            Step::Wake => ("Waking", "Waking"),
            Step::Rescue => ("Rescuing", "Rescuing"),
            Step::Keep => return self.settling(),
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
                summary: "Hibernating",
                reason: "Hibernating",
                message: "The pods end; no member leaves.".into(),
            });
        }
        if self.status.cluster_id.is_none() {
            return Some(Progress {
                summary: "Creating",
                reason: "Creating",
                message: self.waiting_seats(),
            });
        }
        let voters: BTreeSet<u32> = self.seats_of(|member| member.role == Role::Voter && member.started);
        if let Some(seat) = (0..self.plan.size).find(|seat| !voters.contains(seat)) {
            let message = self
                .seat_sentence(seat)
                .unwrap_or_else(|| format!("{} is about to join.", self.names().pod(seat)));
            return Some(Progress {
                summary: "Joining",
                reason: "Joining",
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
                summary: "Leaving",
                reason: "Leaving",
                message,
            });
        }
        (self.outdated > 0).then(|| Progress {
            summary: "Updating",
            reason: "Updating",
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
                reason: "BirthRecordMissing",
                message,
            });
        }
        if let Some(damage) = self.record_damage {
            let message = format!(
                "ConfigMap {} cannot be read, so no member can join until it is corrected: {damage}.",
                self.names().birth_record()
            );
            return Some(Trouble {
                reason: "BirthRecordDamaged",
                message,
            });
        }
        let refused = self.status.seats.iter().find(|seat| seat.phase == SeatPhase::Refused);
        if let Some(seat) = refused {
            return Some(Trouble {
                reason: "SeatRefused",
                message: sentence(seat),
            });
        }
        if quorum == Quorum::Lost {
            return Some(Trouble {
                reason: "QuorumLost",
                message: self.lost_quorum(),
            });
        }
        (!progressing && !self.unready().is_empty()).then(|| Trouble {
            reason: "MembersNotReady",
            message: self.waiting_seats(),
        })
    }

    fn warnings(&self) -> Vec<Finding> {
        let size = self.plan.size;
        let even = (size >= 2 && size.is_multiple_of(2)).then(|| {
            let message = format!("{size} members tolerate no more failures than {}.", size - 1);
            Finding::new(EVEN_SIZE, true, "EvenSize", message)
        });
        let advisory = self
            .cluster
            .version
            .advisory()
            .map(|text| Finding::new(VERSION_ADVISORY, true, "KnownDefects", text));
        even.into_iter().chain(advisory).collect()
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

    /// What the seats that are not ready say.
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

    /// Who misses the quorum, what the others say, and what a person can do.
    fn lost_quorum(&self) -> String {
        let (lost, others): (Vec<&SeatStatus>, Vec<&SeatStatus>) =
            self.alive().partition(|seat| seat.quorum == Quorum::Lost);
        let names: Vec<&str> = lost.iter().map(|seat| seat.name.as_str()).collect();
        let voters = lost.iter().map(|seat| seat.voters).max().unwrap_or(0);
        // The sentence of one that is left has the command that fits how it stands.
        let first = lost.iter().min_by_key(|seat| seat.phase != SeatPhase::Voter);
        let own: String = first.iter().map(|seat| format!(" {}.", sentence(seat))).collect();
        let said: String = others.iter().map(|seat| format!(" {}.", sentence(seat))).collect();
        if self.plan.step == Step::Rescue {
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

    fn seat_sentence(&self, seat: u32) -> Option<String> {
        let pod = self.names().pod(seat);
        self.status.seats.iter().find(|entry| entry.name == pod).map(sentence)
    }
}

fn sentence(seat: &SeatStatus) -> String {
    format!("{} ({:?}): {}", seat.name, seat.phase, seat.why)
}
