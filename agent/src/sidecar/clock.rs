//! The time of day, for people: nothing is decided by it.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time of day in UTC, as RFC 3339 writes it.
pub(crate) fn wall_clock() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    k8s_openapi::jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0))
        .map(|t| t.to_string())
        .unwrap_or_default()
}
