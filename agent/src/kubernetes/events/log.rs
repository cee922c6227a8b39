//! Changes that become Events. At rest there is none, and none is repeated within [`REPEAT_AFTER`].

use std::collections::BTreeMap;
use std::time::Duration;

use muster_api::Reason;
use muster_api::status::Quorum;
use muster_membership::{Action, ArchiveReason, MemberId, Observed, Phase, Seat, StartPlan, Time, Workload};

use super::SeatEvent;

/// Time within which an Event is not repeated.
const REPEAT_AFTER: Duration = Duration::from_secs(600);
/// Time within which a quorum that is lost once more makes no other Event; if it stays lost, it does afterwards.
const FLAP_TIME: Duration = Duration::from_secs(60);

/// The past of this seat, as far as it decides which changes are Events.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    phase: Option<Phase>,
    quorum: Quorum,
    quorum_lost: Option<Time>,
    /// True if etcd was started from its data and has not been seen to serve since.
    resumes: bool,
    /// The Events within [`REPEAT_AFTER`], each with its time.
    published: BTreeMap<(Reason, Option<MemberId>), Time>,
}

impl EventLog {
    /// The Events that follow from the seat's state.
    pub(crate) fn state_seen(
        &mut self,
        phase: Phase,
        quorum: Quorum,
        why: &str,
        seat: Seat,
        now: Time,
    ) -> Vec<SeatEvent> {
        let before = self.phase.replace(phase);
        let entered = before != Some(phase);
        let mut events = Vec::new();
        let mut publish = |warning, reason, note: &str| {
            events.push(SeatEvent {
                warning,
                reason,
                note: note.to_owned(),
                seat,
                member: None,
            });
        };
        match phase {
            Phase::Refused if entered => publish(true, Reason::Refused, why),
            Phase::Lost if entered => publish(true, Reason::ClusterLost, why),
            // An agent that starts beside a seat that leaves already has no Event of it to publish.
            Phase::Leaving if entered && before.is_some() => publish(false, Reason::Leaving, why),
            Phase::Voter if before == Some(Phase::Learner) => {
                publish(false, Reason::Promoted, "has caught up, and votes now")
            }
            Phase::Voter if self.resumes && quorum == Quorum::Ok => {
                publish(false, Reason::Resumed, "serves again, from the data on its volume");
            }
            _ => {}
        }
        if phase == Phase::Voter && quorum == Quorum::Ok {
            self.resumes = false;
        }
        events.retain(|event| self.is_new(event, now));
        events.extend(self.quorum_changed(quorum, why, seat, now));
        events
    }

    /// The loss of the quorum, or its return. Each follows the other, so neither repeats; not to know is no change.
    fn quorum_changed(&mut self, quorum: Quorum, why: &str, seat: Seat, now: Time) -> Option<SeatEvent> {
        if quorum == Quorum::Unknown {
            return None;
        }
        if quorum == Quorum::Lost && self.quorum != Quorum::Lost {
            if self.quorum_lost.is_some_and(|at| now.since(at) < FLAP_TIME) {
                return None;
            }
            self.quorum_lost = Some(now);
        }
        let (warning, reason, note) = match (std::mem::replace(&mut self.quorum, quorum), quorum) {
            (Quorum::Ok | Quorum::Unknown, Quorum::Lost) => (true, Reason::NoQuorum, why),
            (Quorum::Lost, Quorum::Ok) => (false, Reason::QuorumBack, "sees a quorum again"),
            _ => return None,
        };
        Some(SeatEvent {
            warning,
            reason,
            note: note.to_owned(),
            seat,
            member: None,
        })
    }

    /// The Event of a step that was carried out; `event` is what [`event_of_step`] made of it beforehand.
    pub(crate) fn step_done(&mut self, step: &Action, event: Option<SeatEvent>, now: Time) -> Option<SeatEvent> {
        if let Action::Start(plan) = step {
            self.resumes = *plan == StartPlan::Resume;
        }
        event.filter(|event| self.is_new(event, now))
    }

    fn is_new(&mut self, event: &SeatEvent, now: Time) -> bool {
        self.published.retain(|_, at| now.since(*at) < REPEAT_AFTER);
        let key = (event.reason, event.member);
        let new = !self.published.contains_key(&key);
        if new {
            self.published.insert(key, now);
        }
        new
    }
}

/// The Event of a step, if it succeeds. `observed` is what the step was decided from.
pub(crate) fn event_of_step(step: &Action, observed: &Observed, why: &str) -> Option<SeatEvent> {
    let (warning, reason, note) = match step {
        Action::ClaimBirth { cluster, .. } => (false, Reason::Founding, format!("founds the cluster, as {cluster}")),
        Action::MarkFormed => (false, Reason::Formed, "serves: the cluster is formed".into()),
        Action::RepublishBirth { cluster } => (
            true,
            Reason::BirthRecordRestored,
            format!("the birth record was missing, or did not say that cluster {cluster} is formed: it says so again"),
        ),
        Action::AddLearner => (false, Reason::Joining, "was added to the cluster, as a learner".into()),
        Action::Archive(ArchiveReason::Corrupt) => (true, Reason::CorruptDataSetAside, why.to_owned()),
        Action::Archive(ArchiveReason::LostWal) => (true, Reason::DataSetAside, why.to_owned()),
        Action::Archive(ArchiveReason::Removed) => (false, Reason::DataSetAside, why.to_owned()),
        Action::Tombstone => (
            false,
            Reason::Left,
            "has left the cluster: its seat is not wanted".into(),
        ),
        Action::Remove { member } => return event_of_removal(*member, observed),
        // A promotion is an Event of the seat that is promoted; the rest is routine.
        _ => return None,
    };
    Some(SeatEvent {
        warning,
        reason,
        note,
        seat: observed.me.seat,
        member: None,
    })
}

/// The Event of a removal, by the seat of the member. A member that removes itself has one when that is done.
fn event_of_removal(member: MemberId, observed: &Observed) -> Option<SeatEvent> {
    let own = observed.local.seen.as_ref().map(|(_, status)| status.identity.member);
    let (_, list) = observed.list.seen.as_ref()?;
    let (seat, learner) = list.members.get(&member).and_then(|m| Some((m.seat?, m.learner)))?;
    let wanted = match observed.workload.seen {
        Some((_, Workload::Wants(wanted))) => wanted.wants(seat),
        _ => false,
    };
    let (warning, reason, note) = if own == Some(member) {
        return None;
    } else if seat == observed.me.seat {
        let note = format!("lost its volume: its old member {member} was removed, and it joins as a new one");
        (true, Reason::MemberReplaced, note)
    } else if wanted && learner {
        let note = format!("its learner {member} made no progress for long and was removed; it may join again");
        (true, Reason::LearnerEvicted, note)
    } else {
        let note = format!("is not wanted and has not left by itself: its member {member} was removed");
        (false, Reason::MemberRemoved, note)
    };
    Some(SeatEvent {
        warning,
        reason,
        note,
        seat,
        member: Some(member),
    })
}

#[cfg(test)]
mod tests;
