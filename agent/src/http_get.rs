//! One plain HTTP request to a neighbour.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Response;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Bytes of an answer at most: what is read this way is a few kilobytes.
const LONGEST: usize = 64 * 1024;

/// Asks `host` (with its port) for `path`; returns the answer with its whole body.
///
/// # Errors
/// No answer within `within`, or too long a one. The status of an answer is the caller's to judge.
pub(crate) async fn http_get(host: &str, path: &str, within: Duration) -> anyhow::Result<Response<Bytes>> {
    let work = async {
        let stream = TcpStream::connect(host).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request = hyper::Request::get(path)
            .header("host", host)
            .body(Empty::<Bytes>::new())?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, LONGEST).collect().await;
        driver.abort();
        let body = body.map_err(|e| anyhow::anyhow!(e))?.to_bytes();
        anyhow::Ok(Response::from_parts(head, body))
    };
    tokio::time::timeout(within, work).await?
}
