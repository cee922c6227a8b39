//! The launcher's connection to the agent, made anew whenever it is lost.

use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::socket::protocol::{self, FromAgent, Lines, ToAgent};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Changes of the connection, and messages on it.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// It stands, and this channel leads to the agent.
    Connected(mpsc::UnboundedSender<ToAgent>),
    Message(FromAgent),
    Lost,
}

/// Connects, and connects again, until the receiver of events is gone.
pub(crate) async fn keep_connected(socket: PathBuf, events: mpsc::Sender<LinkEvent>) {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut said = false;
    while !events.is_closed() {
        match UnixStream::connect(&socket).await {
            Ok(stream) => {
                said = false;
                if talk(stream, &events).await {
                    backoff.reset();
                }
                _ = events.send(LinkEvent::Lost).await;
            }
            Err(error) if !said => {
                said = true;
                tracing::info!("waiting for the agent at {}: {error}", socket.display());
            }
            Err(_) => {}
        }
        sleep(backoff.pause()).await;
    }
}

/// Passes messages both ways until the connection ends; true if the agent said anything.
async fn talk(stream: UnixStream, events: &mpsc::Sender<LinkEvent>) -> bool {
    let (from, mut to) = stream.into_split();
    let mut lines = Lines::new(from);
    let (sender, mut messages) = mpsc::unbounded_channel();
    let mut heard = false;
    if events.send(LinkEvent::Connected(sender)).await.is_err() {
        return heard;
    }
    loop {
        tokio::select! {
            message = lines.next() => {
                let Some(message) = message else { return heard };
                heard = true;
                if events.send(LinkEvent::Message(message)).await.is_err() {
                    return heard;
                }
            }
            Some(message) = messages.recv() => {
                if protocol::send(&mut to, &message).await.is_err() {
                    return heard;
                }
            }
        }
    }
}
