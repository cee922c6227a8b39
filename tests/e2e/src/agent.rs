//! Reads of an agent's `/status`.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The port of the agent's HTTP server.
pub(crate) const PORT: u16 = 2382;

/// Asks the agent at an address for its `/status`.
pub(crate) async fn status(ip: &str) -> Result<Value> {
    Ok(serde_json::from_str(&get(ip, PORT, "/status").await?)?)
}

/// Makes one plain HTTP request; returns the body of a 200.
pub(crate) async fn get(ip: &str, port: u16, path: &str) -> Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect((ip, port)).await?;
        stream
            .write_all(format!("GET {path} HTTP/1.0\r\nHost: {ip}\r\nConnection: close\r\n\r\n").as_bytes())
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(2), exchange)
        .await
        .map_err(|_| anyhow!("{ip}:{port}{path}: no answer in 2 s"))?
        .with_context(|| format!("{ip}:{port}{path}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    let first = head.lines().next().unwrap_or_default();
    if !first.contains(" 200") {
        bail!("{ip}:{port}{path}: {first}: {body}");
    }
    Ok(body.to_owned())
}
