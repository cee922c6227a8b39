//! Health and metrics over HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::service::metrics::Metrics;

/// The state that the endpoints show.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    pub(crate) metrics: Metrics,
    /// True once the API server has answered.
    pub(crate) ready: AtomicBool,
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
        "/readyz" if vitals.ready.load(Ordering::Relaxed) => (StatusCode::OK, "ok\n".into()),
        "/readyz" => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the API server has not answered yet\n".into(),
        ),
        "/metrics" => (StatusCode::OK, vitals.metrics.text()),
        _ => (StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".into()),
    }
}

#[cfg(test)]
mod tests {
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
    fn other_paths_are_not_found() {
        assert_eq!(route("/", &Vitals::default()).0, StatusCode::NOT_FOUND);
    }
}
