//! Events: the few changes of a seat that a person wants to know of.
//!
//! The log and the status have every sentence. An Event is for what is done or begun and cannot be
//! seen in the status any more an hour later: joined, promoted, left, removed, set aside, refused,
//! lost. [`log`] decides which changes are Events, [`writer`] sends them.

pub(crate) mod log;
pub(crate) mod writer;

use muster_api::Reason;
use muster_membership::{MemberId, Seat};

/// An Event to be, about a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeatEvent {
    /// True if somebody should have a look.
    pub(crate) warning: bool,
    /// The word for machines.
    pub(crate) reason: Reason,
    /// The sentence for people.
    pub(crate) note: String,
    /// The seat that it is about.
    pub(crate) seat: Seat,
    /// The member that it is about, if not the seat's own.
    pub(crate) member: Option<MemberId>,
}
