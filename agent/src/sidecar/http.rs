//! The agent's HTTP port: `/status`, `/metrics`, `/livez`, `/readyz`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use muster_api::status_report::StatusReport;
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
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file descriptors, for one: those in use come back.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let (report, registry) = (report.clone(), registry.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer(request.uri().path(), &report, &registry);
                async move { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(())
}

fn answer(path: &str, report: &watch::Receiver<Option<StatusReport>>, registry: &Registry) -> Response<Full<Bytes>> {
    let (status, kind, body) = match path {
        "/livez" | "/readyz" => (StatusCode::OK, "text/plain", "ok".to_owned()),
        "/status" => match &*report.borrow() {
            Some(report) => (
                StatusCode::OK,
                "application/json",
                serde_json::to_string(report).unwrap_or_default(),
            ),
            None => (
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain",
                "the agent has not looked yet".into(),
            ),
        },
        "/metrics" => {
            let mut text = String::new();
            match prometheus_client::encoding::text::encode(&mut text, registry) {
                Ok(()) => (
                    StatusCode::OK,
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    text,
                ),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
            }
        }
        _ => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "there is /status, /metrics, /livez and /readyz".into(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    }
    response
}
