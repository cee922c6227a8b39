//! What an agent says of itself over HTTP, and how it reads what others say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_api::names::AGENT_PORT;
use muster_api::status_report::StatusReport;
use muster_membership::AgentReport;

use crate::http_get::get;
use crate::kubernetes::Address;

/// Reads another seat's report.
///
/// # Errors
/// No answer within `within`, or not a report.
pub async fn fetch(address: &Address, within: Duration) -> anyhow::Result<AgentReport> {
    let host = format!("{}:{AGENT_PORT}", address.host);
    let answer = get(&host, "/status", within).await?;
    anyhow::ensure!(answer.status() == 200, "{host}: {}", answer.status());
    let report: StatusReport = serde_json::from_slice(answer.body())?;
    Ok(AgentReport {
        has_data: report.has_data || report.member_id.is_some(),
        snapshot_bytes: report.snapshot_bytes,
    })
}

/// The time of day in UTC, as RFC 3339 writes it.
#[must_use]
pub fn wall_clock() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    k8s_openapi::jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0))
        .map(|t| t.to_string())
        .unwrap_or_default()
}
