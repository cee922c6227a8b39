//! The launcher's connection to the agent, made anew whenever it is lost.

use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::socket::protocol::{self, FromAgent, Lines, ToAgent};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What happens on the connection.
#[derive(Debug)]
pub(super) enum Event {
    /// It stands; this is the way to the agent, as long as it does.
    Connected(mpsc::UnboundedSender<ToAgent>),
    /// The agent says something.
    Message(FromAgent),
    /// It is gone.
    Lost,
}

/// Connects, and connects again, until nobody wants to hear of it.
pub(super) async fn keep_connected(socket: PathBuf, events: mpsc::Sender<Event>) {
    let mut pause = FIRST_PAUSE;
    let mut said = false;
    while !events.is_closed() {
        match UnixStream::connect(&socket).await {
            Ok(stream) => {
                said = false;
                if talk(stream, &events).await {
                    pause = FIRST_PAUSE;
                }
                _ = events.send(Event::Lost).await;
            }
            Err(error) if !said => {
                said = true;
                tracing::info!("waiting for the agent at {}: {error}", socket.display());
            }
            Err(_) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Passes messages both ways until the connection ends; whether the agent said anything.
async fn talk(stream: UnixStream, events: &mpsc::Sender<Event>) -> bool {
    let (from, mut to) = stream.into_split();
    let mut lines = Lines::new(from);
    let (sender, mut messages) = mpsc::unbounded_channel();
    let mut heard = false;
    if events.send(Event::Connected(sender)).await.is_err() {
        return heard;
    }
    loop {
        tokio::select! {
            message = lines.next() => {
                let Some(message) = message else { return heard };
                heard = true;
                if events.send(Event::Message(message)).await.is_err() {
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
