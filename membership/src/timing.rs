//! Timing of the core: the age limits of readings, the pauses between looks, and the patience with others.

use std::time::Duration;

/// Age at which a reading stops to count: the world may have changed since.
pub const FRESHNESS: Duration = Duration::from_secs(5);
/// Time for which a failed read is known as such. Longer than any read may take, so that a look at something
/// that never answers ends, and is not repeated without a decision.
pub const FAILURE_LIFETIME: Duration = Duration::from_secs(15);
/// Time that the shell gives any one [`Need`](crate::Need), all its parts together. Well below
/// [`FRESHNESS`]: an answer that is stale when it arrives would be asked for again, without end.
pub const READ_TIMEOUT: Duration = Duration::from_secs(4);

/// Pause of a seat that serves and has nothing due.
pub const REST_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before a read that failed (API server, peers) is tried again.
pub const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Pause before etcd is asked again for what it refused ("unhealthy cluster", no leader), and between
/// two looks at a founding that others must do first.
pub const ASK_INTERVAL: Duration = Duration::from_millis(200);
/// Pause after a step that somebody waits for.
pub const BUSY_INTERVAL: Duration = Duration::from_millis(100);
/// Pause of a seat that leaves and waits for its turn.
pub const TURN_INTERVAL: Duration = Duration::from_millis(50);

/// Part of the time that a seat has waited which the pause to its next look may be: a wait grows longer by this part
/// at most, and is looked at ever more seldom.
pub const PAUSE_PART: u32 = 20;
/// Longest pause of a wait. Housekeeping forgets what it noted [`NOTES_LIFETIME`] ago.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Longest pause between two attempts at a step that holds up nothing else.
pub const LONGEST_ATTEMPT_PAUSE: Duration = Duration::from_secs(60);

/// Time that the member of an unwanted seat gets to leave by itself before the leader's agent removes it.
pub const TIME_TO_LEAVE: Duration = Duration::from_secs(15);
/// Time that a learner's own agent gets to promote it before the leader's agent does.
pub const TIME_TO_PROMOTE: Duration = Duration::from_secs(3);
/// Time that a lower unwanted seat gives a higher one to go first.
pub const TIME_TO_GO_FIRST: Duration = Duration::from_secs(5);
/// Time that a hook gives leadership to move to another member.
pub const TIME_TO_HAND_OVER: Duration = Duration::from_secs(3);
/// Time that the leader's agent gets for due work before the deputy takes over.
pub const TIME_TO_DEPUTISE: Duration = Duration::from_secs(30);
/// Time that a hook gives the launcher of an agent that has just started to call.
pub const TIME_TO_CONNECT: Duration = Duration::from_secs(5);

/// Pause after the second failed start of etcd in a row; it doubles with each further one.
pub const FIRST_START_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
pub const LONGEST_START_PAUSE: Duration = Duration::from_secs(60);
/// Longest such pause of a seat that joins.
pub const LONGEST_JOIN_PAUSE: Duration = Duration::from_secs(5);

/// Age at which notes about other members are forgotten if they were not brought up to date.
pub const NOTES_LIFETIME: Duration = Duration::from_secs(10);
/// Time without a leader that may still be an election.
pub const ELECTION_TIME: Duration = Duration::from_secs(5);
/// First patience with a learner that makes no progress; it doubles with each eviction of the seat.
pub const EVICTION_PATIENCE: Duration = Duration::from_secs(120);
/// Bytes that a learner restores from a received snapshot in a second, at the least. etcd answers no client before it
/// has restored all of it, and meanwhile nothing on the volume moves.
pub const RESTORE_RATE: u64 = 10_000_000;
/// Time for a restore at most, whatever the size that is reported.
pub const LONGEST_RESTORE: Duration = Duration::from_secs(3600);
/// Times that bytes of a learner which became fewer may grow again as progress: etcd was restarted, and receives anew.
/// A volume that is too small for the snapshot loses and receives its bytes without end.
pub const RECEIVED_ANEW: u8 = 5;
/// Doublings of [`EVICTION_PATIENCE`] at most (so that the longest patience is about four hours).
pub const PATIENCE_DOUBLINGS: u32 = 7;
/// Log entries by which a learner's applied index may lag the leader's and the learner still be promoted.
/// etcd itself accepts 10 % of the log, which on a long log is hours of work.
pub const PROMOTION_LAG: u64 = 1_000;

/// Interval at which the leader's agent looks for the birth record while a wanted seat has no member.
pub const BIRTH_RECORD_INTERVAL: Duration = Duration::from_secs(5);
/// The same while every wanted seat has a member: one small read in five minutes.
pub const BIRTH_RECORD_INTERVAL_AT_REST: Duration = Duration::from_secs(300);
