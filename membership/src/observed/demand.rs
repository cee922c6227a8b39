//! The StatefulSet's demand for this seat: the one place that answers "is my seat wanted?".

use super::{Observed, Unread};
use crate::decision::{Draft, Need};
use crate::ids::{Seat, Time};

/// The seats that the StatefulSet wants: `[0, n)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wanted(pub u32);

impl Wanted {
    /// True if `seat` is one of them.
    #[must_use]
    pub fn wants(self, seat: Seat) -> bool {
        seat.0 < self.0
    }

    /// The seats, lowest first.
    pub fn seats(self) -> impl Iterator<Item = Seat> {
        (0..self.0).map(Seat)
    }
}

/// The result of a read of the StatefulSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Workload {
    /// There is none of this name.
    Missing,
    /// There is one, but it does not own this pod.
    NotMine,
    /// It is being deleted.
    Deleting,
    /// It wants these seats.
    Wants(Wanted),
}

/// The meaning of a read of the StatefulSet for one seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// The seat is one of those that are wanted.
    Wanted(Wanted),
    /// These seats are wanted, and this one is not: its member is to leave.
    Unwanted(Wanted),
    /// Nothing follows for members: the StatefulSet is missing, being deleted, not the owner of this pod, or
    /// wants no seat at all (hibernation).
    Unsaid,
}

impl Workload {
    /// The demand for `seat`.
    pub(crate) fn demand(self, seat: Seat) -> Demand {
        match self.seats() {
            Some(wanted) if wanted.wants(seat) => Demand::Wanted(wanted),
            Some(wanted) => Demand::Unwanted(wanted),
            None => Demand::Unsaid,
        }
    }

    /// The wanted seats, if members may be added and removed for them: one at least.
    pub(crate) fn seats(self) -> Option<Wanted> {
        match self {
            Self::Wants(wanted) if wanted.0 > 0 => Some(wanted),
            Self::Wants(_) | Self::Missing | Self::NotMine | Self::Deleting => None,
        }
    }
}

impl Observed {
    /// The demand for this seat as the watch last told. Only ever a reason to look.
    pub(crate) fn hinted_demand(&self) -> Demand {
        self.hint
            .map_or(Demand::Unsaid, |workload| workload.demand(self.me.seat))
    }

    /// The wanted seats, if this one is among them by a fresh read; else what is decided instead.
    pub(crate) fn wanted_here(
        &self,
        now: Time,
        needs: &[Need],
        unread: impl FnOnce(&Unread) -> Draft,
        unwanted: impl FnOnce() -> Draft,
    ) -> Result<Wanted, Draft> {
        match self.workload.need(now, needs, unread)?.demand(self.me.seat) {
            Demand::Wanted(wanted) => Ok(wanted),
            Demand::Unwanted(_) | Demand::Unsaid => Err(unwanted()),
        }
    }
}
