//! One read: whether it is needed, its time limit, its outcome.

use std::time::{Duration, Instant};

use muster_membership::{Reading, Time, Unread};

use super::unread::Cause;

/// Time that no read takes on a machine with time to spare; a slower one is logged.
const SLOW: Duration = Duration::from_millis(200);

/// Runs `read` if it is `needed`. `what` names it in the log.
pub(super) async fn read_if<T, E: Cause>(
    needed: bool,
    what: &'static str,
    within: Duration,
    read: impl Future<Output = Result<T, E>>,
) -> Option<Result<T, Unread>> {
    if !needed {
        return None;
    }
    Some(match timed(what, tokio::time::timeout(within, read)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::debug!(what, %error, "a read failed");
            Err(error.unread())
        }
        Err(_) => Err(Unread::Silent),
    })
}

/// Runs a read, and logs a slow one.
pub(super) async fn timed<T>(what: &'static str, read: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let answer = read.await;
    let took = begun.elapsed();
    if took > SLOW {
        tracing::debug!(what, ?took, "a slow read");
    }
    answer
}

/// Notes the outcome of a read that began at `at`; without one, the reading stays.
pub(super) fn merge_reading<T>(reading: &mut Reading<T>, at: Time, outcome: Option<Result<T, Unread>>) {
    match outcome {
        Some(Ok(value)) => *reading = Reading::saw(at, value),
        Some(Err(cause)) => reading.fail(at, cause),
        None => {}
    }
}
