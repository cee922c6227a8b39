//! The membership core: it decides what one seat's agent does next, from what that agent saw.
//!
//! ```text
//!   shell (agent crate)                      this crate
//!   ───────────────────                      ──────────
//!   look: disk, launcher, API server,
//!         local etcd, peers      ──────▶  decide(&Observed, &Memory, now)
//!   act, then look again         ◀──────     -> Decision { actions, needs, phase, reason, why, … }
//! ```
//!
//! No I/O, no clock, no randomness, no type or client of Kubernetes: the same observation always gives the
//! same decision, so the function that ships is also the one that the model checker explores. Sentences name
//! Kubernetes' objects, as people know them; the commands among them are all in [`advice`].
//!
//! ```text
//!   decide ─┬─ no WAL ────▶ bootstrap ──▶ join                    etcd does not run yet
//!           ├─ a WAL ─────▶ resume (origin: whose it is)
//!           └─ etcd runs ─▶ running ─┬─ leave                     the seat is not wanted
//!                                    ├─ promote                   a learner
//!                                    ├─ birth_record, publication,
//!                                    │  housekeeping (due, deputy)          for the other members
//!                                    └─ outage                    no leader
//! ```
//!
//! Each stage reads as a list of conditions: [`Reading`] gives a value that is fresh, or returns early with what
//! to look at, or with the sentence that says why the value is not there.
//!
//! The invariants that every action keeps, whatever crashes, restarts, or is cut off meanwhile:
//!
//! 1. **One cluster.** After the birth record is claimed nothing starts etcd as `new`, except the
//!    very volume that claimed, while it never had a WAL ([`bootstrap`]).
//! 2. **No amnesia.** An empty volume never starts under a member ID that an earlier volume used:
//!    the old member is removed and a new learner is added ([`join`]).
//! 3. **Quorum.** Joining is always as a learner; a voter is removed, or a learner promoted, only
//!    if the voters that answer right now are a quorum of the configuration that results
//!    ([`quorum`]).
//! 4. **A healthy member of a wanted seat is never removed** ([`quorum`], [`leave`],
//!    [`housekeeping`]).
//! 5. **A live voter of a wanted seat remains** after every removal ([`quorum`]).
//! 6. **Uncertainty never acts.** What could not be read, or was read too long ago, moves nothing.
//! 7. **The data plane stands alone.** Nothing here stops a serving etcd.
//! 8. **Nothing is deleted to make room**: data that must give way is archived ([`resume`]). Only older archives go, and
//!    never the newest copy of a member's data before the seat votes again.

mod advice;
mod birth_record;
mod bootstrap;
mod decide;
mod decision;
mod deputy;
mod due;
mod failed_starts;
mod housekeeping;
mod ids;
mod join;
mod leave;
mod memory;
mod observed;
mod origin;
mod outage;
mod pace;
mod progress;
mod promote;
mod publication;
pub mod quorum;
mod resume;
mod running;
pub mod timing;

pub use decide::decide;
pub use decision::{Action, ArchiveReason, Decision, Need, Phase, StartPlan};
pub use ids::{ClusterId, MemberId, Seat, Time, founding_cluster_id, founding_member_id};
pub use memory::{Attempts, Evictions, LearnerWatch, Memory, Wait};
pub use muster_reasons::Reason;
pub use observed::{
    AgentReport, Birth, BirthPhase, Disk, Endpoint, EtcdStatus, FailedStarts, Freshness, Identity, Launcher, Live, Me,
    Member, MemberList, Observed, Peer, Published, Reading, Unread, Wanted, Workload,
};
