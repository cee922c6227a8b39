//! The connection to the API server: one that says nothing for long is given up.

use std::time::Duration;

use kube::{Client, Config};

/// Time without a byte after which a connection is taken for dead. An API server sends a bookmark on each watch once a
/// minute (kube-apiserver's `defaultBookmarkFrequency`), so a watch that lives is never silent for so long, and no
/// request is needed to find out.
const SILENCE: Duration = Duration::from_secs(90);

/// A client with the settings of the pod, or of the kubeconfig.
///
/// # Errors
/// There are no settings, or they make no client.
pub(crate) async fn connect() -> anyhow::Result<Client> {
    Ok(client(Config::infer().await?, SILENCE)?)
}

fn client(mut config: Config, silence: Duration) -> Result<Client, kube::Error> {
    config.read_timeout = Some(silence);
    // The time counts from the request, and not from when a connection that is used again fell idle.
    config.reset_reader_on_write = true;
    Client::try_from(config)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::kubernetes::mock_api::config;
    use crate::kubernetes::{Kubernetes, WorkloadReader};

    /// Answers a list, and begins the answer to a watch without ever going on with it; tells of each request.
    async fn answer(mut stream: TcpStream, requests: mpsc::UnboundedSender<String>) -> std::io::Result<()> {
        let mut text = vec![0; 4_096];
        loop {
            let read = stream.read(&mut text).await?;
            if read == 0 {
                return Ok(());
            }
            let request = String::from_utf8_lossy(&text[..read]);
            let line = request.lines().next().unwrap_or_default().to_owned();
            let answer = if line.contains("watch=") {
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".to_owned()
            } else {
                let list = r#"{"kind":"StatefulSetList","apiVersion":"apps/v1","metadata":{"resourceVersion":"7"},"items":[]}"#;
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{list}",
                    list.len()
                )
            };
            stream.write_all(answer.as_bytes()).await?;
            _ = requests.send(line);
        }
    }

    #[tokio::test]
    async fn a_watch_that_says_nothing_is_begun_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mut requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, sender.clone()));
            }
        });
        let settings = Config::new(format!("http://{address}").parse().unwrap());
        let client = client(settings, Duration::from_millis(200)).unwrap();
        let reader = Arc::new(WorkloadReader::new(Kubernetes::new(client, &config())));
        let watching = tokio::spawn(async move { reader.watch(watch::channel(None).0).await });
        let mut watches = 0;
        while watches < 2 {
            let next = tokio::time::timeout(Duration::from_secs(60), requests.recv()).await;
            let request = next.expect("the watch is begun again").unwrap();
            watches += usize::from(request.contains("watch="));
        }
        watching.abort();
    }
}
