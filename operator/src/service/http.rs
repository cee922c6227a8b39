//! Health and metrics over HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use muster_http::{Answer, METRICS, StatusCode};
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
/// The address is taken.
pub(crate) async fn serve(address: SocketAddr, vitals: Arc<Vitals>) -> std::io::Result<Infallible> {
    let listener = TcpListener::bind(address).await?;
    Ok(muster_http::serve(listener, move |path| answer(path, &vitals)).await)
}

fn answer(path: &str, vitals: &Vitals) -> Answer {
    match path {
        "/livez" => Answer::text(StatusCode::OK, "ok\n"),
        "/readyz" => match not_ready(vitals) {
            None => Answer::text(StatusCode::OK, "ok\n"),
            Some(why) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        "/metrics" => Answer {
            status: StatusCode::OK,
            content_type: METRICS,
            body: vitals.metrics.text(),
        },
        _ => Answer::text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"),
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
        assert_eq!(answer("/livez", &vitals).status, StatusCode::OK);
        assert_eq!(answer("/readyz", &vitals).status, StatusCode::SERVICE_UNAVAILABLE);
        vitals.ready.store(true, Ordering::Relaxed);
        assert_eq!(answer("/readyz", &vitals).status, StatusCode::OK);
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
        let answer = |path| answer(path, &vitals);
        assert_eq!(answer("/readyz").status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer("/readyz").body.contains("forbidden"), "{:?}", answer("/readyz"));
        assert_eq!(answer("/livez").status, StatusCode::OK);
    }

    #[test]
    fn other_paths_are_not_found() {
        assert_eq!(answer("/", &Vitals::default()).status, StatusCode::NOT_FOUND);
    }
}
