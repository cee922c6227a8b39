//! A small HTTP server for health, metrics and status, that strangers cannot use up.
//!
//! Everybody who reaches the port may connect: the kubelet, Prometheus, other agents, and whoever else is in the
//! network. So there is a bound for the number of connections and one for the life of each, and a connection that is
//! not used gives way to a new one. The rest of the process keeps its file descriptors, and a probe gets its answer.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

pub use hyper::StatusCode;

/// Connections at a time; one more ends the oldest. A few hundred other descriptors are left of the usual 1,024.
pub const MOST_CONNECTIONS: usize = 128;
/// Time for the headers of a request.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a connection, which has one request.
const LIFETIME: Duration = Duration::from_secs(15);
/// Pause after a connection could not be accepted: without file descriptors, for one. Those in use come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Text, as answers have it that are for people and probes.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// JSON.
pub const JSON: &str = "application/json";
/// Metrics in the text form of OpenMetrics.
pub const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The code.
    pub status: StatusCode,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    /// An answer of plain text.
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: TEXT,
            body: body.into(),
        }
    }

    fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.body));
        *response.status_mut() = self.status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        response
    }
}

/// Serves for as long as it is polled. `answer` gets a request's path.
pub async fn serve(
    listener: TcpListener,
    answer: impl Fn(&str) -> Answer + Clone + Send + Sync + 'static,
) -> Infallible {
    let mut open = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                make_room(&mut open);
                open.push_back(tokio::spawn(attend(stream, answer.clone())).abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for health, metrics or status cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Ends the oldest connection if there are as many as there may be.
fn make_room(open: &mut VecDeque<AbortHandle>) {
    open.retain(|connection| !connection.is_finished());
    if open.len() >= MOST_CONNECTIONS
        && let Some(oldest) = open.pop_front()
    {
        oldest.abort();
    }
}

/// Answers one request.
async fn attend(stream: TcpStream, answer: impl Fn(&str) -> Answer) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(request.uri().path()).response();
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(LIFETIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection for health, metrics or status ended early"),
        Err(_) => tracing::debug!("a connection for health, metrics or status took too long"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, |path| Answer::text(StatusCode::OK, path)));
        address
    }

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_request_gets_its_answer_and_the_connection_ends() {
        let text = ask(server().await).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("content-type: text/plain"), "{text}");
        assert!(text.ends_with("\r\n\r\n/livez"), "{text}");
    }

    #[tokio::test]
    async fn idle_connections_give_way_to_a_probe_and_are_bounded() {
        let address = server().await;
        let mut idle = Vec::new();
        for _ in 0..3 * MOST_CONNECTIONS {
            idle.push(TcpStream::connect(address).await.unwrap());
            // Each one is seen by the server before the next one comes, as with a patient stranger.
            tokio::task::yield_now().await;
        }
        assert!(ask(address).await.ends_with("/livez"));
        let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        // The server itself is one more.
        assert!(alive <= MOST_CONNECTIONS + 1, "{alive} connections are held");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_that_says_nothing_is_not_waited_for() {
        let address = server().await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut text = Vec::new();
        let _ = silent.read_to_end(&mut text).await;
        assert!(!String::from_utf8_lossy(&text).contains("200"), "{text:?}");
    }
}
