//! One plain HTTP request to a neighbour.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Response;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What is read this way is a few kilobytes; nothing longer is.
const LONGEST: usize = 64 * 1024;

/// Asks `host` (with its port) for `path`; the answer with its whole body.
///
/// # Errors
/// No answer within `within`, or too long a one. What its status says is the caller's to judge.
pub async fn get(host: &str, path: &str, within: Duration) -> anyhow::Result<Response<Bytes>> {
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
