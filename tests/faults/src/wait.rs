//! Waiting: a deadline, and an error that says what was waited for and what was seen last.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Seconds, for the many limits.
pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Asks until the answer is a value; an `Err` says what is still missing.
pub(crate) async fn until<T>(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let mut last = None;
    loop {
        let left = limit.saturating_sub(start.elapsed());
        match tokio::time::timeout(left.max(INTERVAL), probe()).await {
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
        tokio::time::sleep(INTERVAL).await;
    }
}
