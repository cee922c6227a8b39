//! The agent's HTTP port: `/status`, `/metrics`, `/livez`, `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use muster_api::status_report::StatusReport;
use muster_http::{Answer, JSON, METRICS, StatusCode};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Serves the report and the metrics until the process ends.
///
/// # Errors
/// The port cannot be bound.
pub(crate) async fn serve(
    address: SocketAddr,
    report: watch::Receiver<Option<StatusReport>>,
    registry: Arc<Registry>,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(muster_http::serve(listener, move |path| {
        answer(path, &report, &registry)
    }));
    Ok(())
}

fn answer(path: &str, report: &watch::Receiver<Option<StatusReport>>, registry: &Registry) -> Answer {
    let ok = |content_type, body| Answer {
        status: StatusCode::OK,
        content_type,
        body,
    };
    match path {
        "/livez" | "/readyz" => Answer::text(StatusCode::OK, "ok"),
        "/status" => match &*report.borrow() {
            Some(report) => ok(JSON, serde_json::to_string(report).unwrap_or_default()),
            None => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "the agent has not looked yet"),
        },
        "/metrics" => {
            let mut text = String::new();
            match prometheus_client::encoding::text::encode(&mut text, registry) {
                Ok(()) => ok(METRICS, text),
                Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            }
        }
        _ => Answer::text(StatusCode::NOT_FOUND, "there is /status, /metrics, /livez and /readyz"),
    }
}
