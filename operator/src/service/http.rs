//! Health and metrics over HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::service::metrics::Metrics;
use crate::service::watches::Watches;

/// The state that the endpoints show.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    pub(crate) metrics: Metrics,
    /// True once the API server has answered.
    pub(crate) ready: AtomicBool,
    pub(crate) watches: Watches,
}

/// Serves for as long as it is polled.
///
/// # Errors
/// The address is taken, or connections cannot be accepted.
pub(crate) async fn serve(address: SocketAddr, vitals: Arc<Vitals>) -> std::io::Result<Infallible> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let vitals = vitals.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, &vitals);
                async move { Ok::<_, Infallible>(response) }
            });
            if let Err(error) = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
            {
                tracing::debug!(%error, "a connection for health or metrics ended early");
            }
        });
    }
}

fn answer(request: &Request<Incoming>, vitals: &Vitals) -> Response<Full<Bytes>> {
    let (status, body) = route(request.uri().path(), vitals);
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}

fn route(path: &str, vitals: &Vitals) -> (StatusCode, String) {
    match path {
        "/livez" => (StatusCode::OK, "ok\n".into()),
        "/readyz" => match not_ready(vitals) {
            None => (StatusCode::OK, "ok\n".into()),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        "/metrics" => (StatusCode::OK, vitals.metrics.text()),
        _ => (StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".into()),
    }
}

/// The sentence that says why the operator is not ready, if it is not.
fn not_ready(vitals: &Vitals) -> Option<String> {
    if !vitals.ready.load(Ordering::Relaxed) {
        return Some("the API server has not answered yet".into());
    }
    vitals.watches.problem(Instant::now())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn readiness_follows_the_api_server_and_liveness_does_not() {
        let vitals = Vitals::default();
        assert_eq!(route("/livez", &vitals).0, StatusCode::OK);
        assert_eq!(route("/readyz", &vitals).0, StatusCode::SERVICE_UNAVAILABLE);
        vitals.ready.store(true, Ordering::Relaxed);
        assert_eq!(route("/readyz", &vitals).0, StatusCode::OK);
    }

    #[test]
    fn an_operator_whose_watches_fail_is_not_ready_and_says_why() {
        let vitals = Vitals::default();
        vitals.ready.store(true, Ordering::Relaxed);
        let now = Instant::now();
        for seconds in 0..=30 {
            vitals
                .watches
                .failed("forbidden".into(), now + Duration::from_secs(seconds));
        }
        let (status, body) = route("/readyz", &vitals);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("forbidden"), "{body}");
        assert_eq!(route("/livez", &vitals).0, StatusCode::OK);
    }

    #[test]
    fn other_paths_are_not_found() {
        assert_eq!(route("/", &Vitals::default()).0, StatusCode::NOT_FOUND);
    }
}
