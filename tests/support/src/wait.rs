//! Waiting: a deadline, and an error that says what was waited for and what
//! was seen last.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// The time from one look at a condition to the next, unless a caller says otherwise.
const INTERVAL: Duration = Duration::from_millis(100);

/// A number of seconds, for the many limits of scenarios.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Asks until the answer is a value; an `Err` says what is still missing.
///
/// # Errors
/// There was no value within `limit`.
pub async fn until<T>(what: &str, limit: Duration, probe: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    until_every(what, limit, INTERVAL, probe).await
}

/// Asks as [`until`] does, with an interval of the caller's choice.
///
/// # Errors
/// There was no value within `limit`.
pub async fn until_every<T>(
    what: &str,
    limit: Duration,
    interval: Duration,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let mut last = None;
    loop {
        let left = limit.saturating_sub(start.elapsed());
        match tokio::time::timeout(left.max(interval), probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = Some(format!("{error:#}")),
            Err(_) => {}
        }
        if start.elapsed() >= limit {
            let seen = last.unwrap_or_else(|| "no answer at all".to_owned());
            return Err(anyhow!(
                "waited {:.0} s for {what}; last seen: {seen}",
                limit.as_secs_f64()
            ));
        }
        tokio::time::sleep(interval).await;
    }
}

/// Checks that a condition holds, again and again, for a while.
///
/// # Errors
/// It did not hold once.
pub async fn holds(what: &str, span: Duration, mut probe: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < span {
        probe().await.map_err(|error| {
            anyhow!(
                "{what} should hold for {:.0} s, but after {:.1} s: {error:#}",
                span.as_secs_f64(),
                start.elapsed().as_secs_f64()
            )
        })?;
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(())
}
