//! What a person wants to know of: the few changes of a seat that become Events.
//!
//! The log and the status have every sentence. An Event is for what is done or begun and cannot be
//! seen in the status any more an hour later: joined, promoted, left, removed, set aside, refused,
//! lost. At rest there is none, and none is told twice within [`AGAIN`].

use std::collections::BTreeMap;
use std::time::Duration;

use muster_api::status::Quorum;
use muster_membership::{Action, ArchiveReason, MemberId, Observed, Phase, Seat, StartPlan, Time, Workload};

/// For how long the same is not told again.
const AGAIN: Duration = Duration::from_secs(600);
/// For how long a quorum that is lost once more is not told of. If it stays lost, it is then.
const FLAPPING: Duration = Duration::from_secs(60);

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Somebody should have a look.
    pub warning: bool,
    /// A word for machines.
    pub reason: &'static str,
    /// A sentence for people.
    pub note: String,
    /// The seat that it is about.
    pub seat: Seat,
    /// The member that it is about, if not the seat's own.
    pub member: Option<MemberId>,
}

/// What this agent has lived through, as far as it decides what is news.
#[derive(Debug, Default)]
pub struct Chronicle {
    phase: Option<Phase>,
    quorum: Quorum,
    quorum_lost: Option<Time>,
    /// etcd was started from its data, and has not been seen to serve since.
    resumes: bool,
    told: BTreeMap<(&'static str, Option<MemberId>), Time>,
}

impl Chronicle {
    /// What is news in where the seat stands now.
    pub fn stands(&mut self, phase: Phase, quorum: Quorum, why: &str, seat: Seat, now: Time) -> Vec<News> {
        let before = self.phase.replace(phase);
        let entered = before != Some(phase);
        let mut news = Vec::new();
        let mut tell = |warning, reason, note: &str| {
            news.push(News {
                warning,
                reason,
                note: note.to_owned(),
                seat,
                member: None,
            });
        };
        match phase {
            Phase::Refused if entered => tell(true, "Refused", why),
            Phase::Lost if entered => tell(true, "ClusterLost", why),
            // An agent that starts beside a seat that leaves already has nothing new to say.
            Phase::Leaving if entered && before.is_some() => tell(false, "Leaving", why),
            Phase::Voter if before == Some(Phase::Learner) => tell(false, "Promoted", "has caught up, and votes now"),
            Phase::Voter if self.resumes && quorum == Quorum::Ok => {
                tell(false, "Resumed", "serves again, from the data on its volume");
            }
            _ => {}
        }
        if phase == Phase::Voter && quorum == Quorum::Ok {
            self.resumes = false;
        }
        news.retain(|news| self.is_new(news, now));
        news.extend(self.quorum_changed(quorum, why, seat, now));
        news
    }

    /// These two take turns, so that none of them is ever the same again. Not to know is no change.
    fn quorum_changed(&mut self, quorum: Quorum, why: &str, seat: Seat, now: Time) -> Option<News> {
        if quorum == Quorum::Unknown {
            return None;
        }
        if quorum == Quorum::Lost && self.quorum != Quorum::Lost {
            if self.quorum_lost.is_some_and(|at| now.since(at) < FLAPPING) {
                return None;
            }
            self.quorum_lost = Some(now);
        }
        let (warning, reason, note) = match (std::mem::replace(&mut self.quorum, quorum), quorum) {
            (Quorum::Ok | Quorum::Unknown, Quorum::Lost) => (true, "NoQuorum", why),
            (Quorum::Lost, Quorum::Ok) => (false, "QuorumBack", "sees a quorum again"),
            _ => return None,
        };
        Some(News {
            warning,
            reason,
            note: note.to_owned(),
            seat,
            member: None,
        })
    }

    /// What is news in a step that was carried out. `news` is what [`of_step`] said before it was.
    pub fn done(&mut self, step: &Action, news: Option<News>, now: Time) -> Option<News> {
        if let Action::Start(plan) = step {
            self.resumes = *plan == StartPlan::Resume;
        }
        news.filter(|news| self.is_new(news, now))
    }

    fn is_new(&mut self, news: &News, now: Time) -> bool {
        self.told.retain(|_, at| now.since(*at) < AGAIN);
        let key = (news.reason, news.member);
        let new = !self.told.contains_key(&key);
        if new {
            self.told.insert(key, now);
        }
        new
    }
}

/// What will be news in a step if it succeeds. `o` is what the step was decided from.
#[must_use]
pub fn of_step(step: &Action, o: &Observed, why: &str) -> Option<News> {
    let (warning, reason, note) = match step {
        Action::ClaimBirth { cluster, .. } => (false, "Founding", format!("founds the cluster, as {cluster}")),
        Action::MarkFormed => (false, "Formed", "serves: the cluster is formed".into()),
        Action::RepublishBirth { cluster } => (
            true,
            "BirthRecordRestored",
            format!("the birth record was missing, or did not say that cluster {cluster} is formed: it says so again"),
        ),
        Action::AddLearner => (false, "Joining", "was added to the cluster, as a learner".into()),
        Action::Archive(ArchiveReason::Corrupt) => (true, "CorruptDataSetAside", why.to_owned()),
        Action::Archive(ArchiveReason::LostWal) => (true, "DataSetAside", why.to_owned()),
        Action::Archive(ArchiveReason::Removed) => (false, "DataSetAside", why.to_owned()),
        Action::Tombstone => (false, "Left", "has left the cluster: its seat is not wanted".into()),
        Action::Remove { member } => return of_removal(*member, o),
        // A promotion is told by the seat that is promoted; the rest is nobody's concern.
        _ => return None,
    };
    Some(News {
        warning,
        reason,
        note,
        seat: o.me.seat,
        member: None,
    })
}

/// Why a member is removed follows from whose it is. One that removes itself tells so when it is done.
fn of_removal(member: MemberId, o: &Observed) -> Option<News> {
    let own = o.local.seen.as_ref().map(|(_, status)| status.identity.member);
    let (_, list) = o.list.seen.as_ref()?;
    let (seat, learner) = list.members.get(&member).and_then(|m| Some((m.seat?, m.learner)))?;
    let wanted = match o.workload.seen {
        Some((_, Workload::Wants(wanted))) => wanted.wants(seat),
        _ => false,
    };
    let (warning, reason, note) = if own == Some(member) {
        return None;
    } else if seat == o.me.seat {
        let note = format!("lost its volume: its old member {member} was removed, and it joins as a new one");
        (true, "MemberReplaced", note)
    } else if wanted && learner {
        let note = format!("its learner {member} made no progress for long and was removed; it may join again");
        (true, "LearnerEvicted", note)
    } else {
        let note = format!("is not wanted and has not left by itself: its member {member} was removed");
        (false, "MemberRemoved", note)
    };
    Some(News {
        warning,
        reason,
        note,
        seat,
        member: Some(member),
    })
}

#[cfg(test)]
mod tests;
