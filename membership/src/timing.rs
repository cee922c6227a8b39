//! How long the core waits for what. All values are milliseconds.

/// A reading older than this moves nothing: the world may have changed since.
pub const FRESH: u64 = 5_000;
/// How long it is known that a read got no answer. Longer than any read may take, so that a look at something
/// that never answers ends, and is not repeated without a decision.
pub const UNANSWERED: u64 = 15_000;
/// How long the shell waits for any one [`Need`](crate::Need), all its parts together. Well below
/// [`FRESH`]: an answer that is stale when it arrives would be asked for again, without end.
pub const READ: u64 = 4_000;
/// How often a serving seat looks at its own etcd when nothing is due.
pub const REST: u64 = 1_000;
/// How soon a step that somebody is waiting for is looked at again.
pub const BUSY: u64 = 100;
/// How soon a read that failed (API server, peers) is tried again.
pub const RETRY: u64 = 500;
/// How soon an add that etcd refused ("unhealthy cluster", no leader) is tried again.
pub const REFUSED: u64 = 200;
/// What the member of an unwanted seat gets to leave by itself before the leader's agent removes it.
pub const TIME_TO_LEAVE: u64 = 15_000;
/// What a learner's own agent gets to promote it before the leader's agent does.
pub const TIME_TO_PROMOTE: u64 = 3_000;
/// How long a lower unwanted seat waits for a higher one to go first.
pub const TIME_TO_GO_FIRST: u64 = 5_000;
/// How long due work stays undone before the deputy takes over from the leader's agent.
pub const TIME_TO_DEPUTISE: u64 = 30_000;
/// Notes about others that were not brought up to date for this long are forgotten.
pub const NOTES_LAPSE: u64 = 10_000;
/// How long a hook waits for the launcher of an agent that has just started to call.
pub const TIME_TO_CONNECT: u64 = 5_000;
/// How long etcd may be without a leader before that is more than an election.
pub const ELECTION: u64 = 5_000;
/// First patience with a learner that makes no progress; doubles with each eviction of its seat.
pub const PATIENCE: u64 = 120_000;
/// Doublings of [`PATIENCE`] at most (so that the longest patience is about four hours).
pub const PATIENCE_DOUBLINGS: u32 = 7;
/// How far a learner's applied index may lag the leader's and still be promoted, in log entries.
/// etcd itself accepts 10 % of the log, which on a long log is hours of work.
pub const PROMOTION_LAG: u64 = 1_000;
/// How often the leader's agent looks whether the birth record is still there while a wanted seat
/// has no member.
pub const BIRTH_CHECK: u64 = 5_000;
/// How often it looks when every wanted seat has a member: one small read in five minutes.
pub const BIRTH_CHECK_AT_REST: u64 = 300_000;
