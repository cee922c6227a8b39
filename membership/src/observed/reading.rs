//! Readings: values from somewhere that may not answer, with the time they are of, and why a read failed.

use crate::decision::{Draft, Need};
use crate::ids::Time;
use crate::timing::{FAILURE_LIFETIME, FRESHNESS};
use muster_reasons::Reason;

/// A value that has to be read from somewhere that may not answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reading<T> {
    /// The last answer and the time at which the read that gave it began.
    pub seen: Option<(Time, T)>,
    /// The last read that gave nothing: the time at which it began, and the cause.
    pub failed: Option<(Time, Unread)>,
}

/// The cause of a read that gave nothing. Nothing but sentences follows from which it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Unread {
    /// No answer in time, or none that says anything of the request: a cut connection, an overload.
    Silent,
    /// An answer that refuses the request (no permission, a policy), in its own words.
    Refused(String),
    /// An answer that cannot be decoded, and the place where it cannot.
    Unreadable(String),
}

impl Unread {
    /// The reason and the clause that say it of the API server.
    pub(crate) fn of_api_server(&self) -> (Reason, String) {
        match self {
            Self::Silent => (Reason::ApiServerSilent, "the API server does not answer".into()),
            Self::Refused(words) => (Reason::ApiServerRefused, format!("the API server refuses: {words}")),
            Self::Unreadable(words) => (
                Reason::ApiServerUnreadable,
                format!("the API server's answer cannot be read: {words}"),
            ),
        }
    }

    /// The same of the birth record, an object that people write by hand when a cluster is lost.
    pub(crate) fn of_birth_record(&self) -> (Reason, String) {
        match self {
            Self::Unreadable(words) => (Reason::BirthRecordDamaged, words.clone()),
            Self::Silent | Self::Refused(_) => self.of_api_server(),
        }
    }

    /// `sentence`, which says that no member answers, with what a member said instead.
    pub(crate) fn of_etcd(&self, sentence: &str) -> String {
        match self {
            Self::Silent => sentence.to_owned(),
            Self::Refused(words) => format!("{sentence}; etcd refuses: {words}"),
            Self::Unreadable(words) => format!("{sentence}; an answer cannot be read: {words}"),
        }
    }
}

/// The state of a [`Reading`] at a given moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness<'a, T> {
    /// Answered lately; may be acted on.
    Fresh(&'a T),
    /// Never asked, or too long ago: ask before acting.
    Stale,
    /// Asked lately, without an answer: nothing follows from that.
    Failed(&'a Unread),
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self {
            seen: None,
            failed: None,
        }
    }
}

impl<T> Reading<T> {
    /// An answer to a read that began at `at`.
    pub fn saw(at: Time, value: T) -> Self {
        Self {
            seen: Some((at, value)),
            failed: None,
        }
    }

    /// Notes that a read that began at `at` gave nothing.
    pub fn fail(&mut self, at: Time, cause: Unread) {
        self.failed = Some((at, cause));
    }

    /// The state of the reading at `now`.
    pub fn check(&self, now: Time) -> Freshness<'_, T> {
        match (&self.seen, &self.failed) {
            (Some((at, value)), failed) if failed.as_ref().is_none_or(|(failed, _)| failed < at) => {
                if now.since(*at) <= FRESHNESS {
                    Freshness::Fresh(value)
                } else {
                    Freshness::Stale
                }
            }
            (_, Some((at, cause))) if now.since(*at) <= FAILURE_LIFETIME => Freshness::Failed(cause),
            _ => Freshness::Stale,
        }
    }

    /// The value, if it may be acted on.
    pub fn fresh(&self, now: Time) -> Option<&T> {
        match self.check(now) {
            Freshness::Fresh(value) => Some(value),
            Freshness::Stale | Freshness::Failed(_) => None,
        }
    }

    /// True if the value has to be read before anything follows from it.
    pub(crate) fn is_stale(&self, now: Time) -> bool {
        matches!(self.check(now), Freshness::Stale)
    }

    /// The value, if it may be acted on; else what is decided without it: to look at `needs` if nobody asked lately,
    /// or what `unread` makes of the failure.
    ///
    /// `needs` names everything that the decision needs, not this value alone: what was read first must not
    /// be stale when the last is there.
    pub(crate) fn need(&self, now: Time, needs: &[Need], unread: impl FnOnce(&Unread) -> Draft) -> Result<&T, Draft> {
        match self.check(now) {
            Freshness::Fresh(value) => Ok(value),
            Freshness::Stale => Err(Draft::look(needs.iter().copied())),
            Freshness::Failed(cause) => Err(unread(cause)),
        }
    }
}
