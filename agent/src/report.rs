//! What an agent says of itself over HTTP, and how it reads what others say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use muster_api::names::AGENT_PORT;
use muster_api::status_report::StatusReport;
use muster_membership::AgentReport;
use tokio::net::TcpStream;

use crate::kubernetes::Address;

/// A report is a few hundred bytes; nothing longer is read.
const LONGEST: usize = 64 * 1024;

/// Reads another seat's report.
///
/// # Errors
/// No answer within `within`, or not a report.
pub async fn fetch(address: &Address, within: Duration) -> anyhow::Result<AgentReport> {
    let host = format!("{}:{AGENT_PORT}", address.host);
    let work = async {
        let stream = TcpStream::connect(&host).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request = hyper::Request::get("/status")
            .header("host", &host)
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        driver.abort();
        let body = body.map_err(|e| anyhow::anyhow!(e))?.to_bytes();
        anyhow::Ok(serde_json::from_slice::<StatusReport>(&body)?)
    };
    let report = tokio::time::timeout(within, work).await??;
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
