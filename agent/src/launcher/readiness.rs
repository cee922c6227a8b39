//! The readiness of etcd's container, for the kubelet.
//!
//! Services go by it, and an etcd that is about to leave has to say no while it still serves the clients it has. etcd
//! itself knows no such state, so the launcher answers in its place: what etcd says, unless the agent has said that the
//! pod is drained, or etcd does not run. The launcher is process 1 of the container: no agent is needed for it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use muster_api::names::METRICS_PORT;
use muster_http::{Answer, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::http_get::http_get;

/// Interval at which an etcd that is not ready is asked.
const ASK_SOON: Duration = Duration::from_millis(250);
/// Interval at which one that is ready is asked.
const ASK: Duration = Duration::from_secs(1);
/// Time that etcd gets to answer; its own probe reads the store.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);
/// Answers in a row that may be missing: a slow disk is no reason to send all clients away.
const MISSES: u8 = 2;
/// Pause before a port that is in use is tried again.
const BIND_PAUSE: Duration = Duration::from_secs(1);

/// The readiness, and the facts behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Readiness {
    /// True if etcd runs.
    runs: bool,
    /// True if the agent has said that Services shall send no new clients.
    pub(crate) draining: bool,
    /// True if etcd has said that it is ready, and has not been silent for long since.
    ready: bool,
    misses: u8,
}

impl Readiness {
    /// Notes that etcd was started, or has ended: it has yet to say that it is ready.
    pub(crate) fn note_run(&mut self, runs: bool) {
        (self.runs, self.ready, self.misses) = (runs, false, 0);
    }

    /// Notes an answer of etcd, or that there was none.
    fn note_answer(&mut self, ready: bool) {
        if ready {
            (self.ready, self.misses) = (true, 0);
        } else {
            self.misses = self.misses.saturating_add(1);
            self.ready &= self.misses <= MISSES;
        }
    }

    fn answer(self) -> Answer {
        let why = match self {
            Self { runs: false, .. } => "etcd does not run",
            Self { draining: true, .. } => "the pod is drained: its member leaves, or the pod ends",
            Self { ready: false, .. } => "etcd does not say that it is ready",
            _ => return Answer::text(StatusCode::OK, "ok\n"),
        };
        Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
    }
}

/// Asks etcd, and answers on `port`, for as long as it is polled.
pub(crate) async fn serve(readiness: watch::Sender<Readiness>, port: u16) {
    let answers = readiness.subscribe();
    let listener = listen(port).await;
    tokio::select! {
        () = ask(readiness) => {}
        never = muster_http::serve(listener, move |_| answers.borrow().answer()) => match never {},
    }
}

/// Listens on every address, of both families where there are two.
async fn listen(port: u16) -> TcpListener {
    let mut said = false;
    loop {
        for address in [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()] {
            match TcpListener::bind(SocketAddr::new(address, port)).await {
                Ok(listener) => return listener,
                Err(error) if !said => tracing::error!(%error, "port {port} cannot be listened on"),
                Err(_) => {}
            }
        }
        said = true;
        tokio::time::sleep(BIND_PAUSE).await;
    }
}

async fn ask(readiness: watch::Sender<Readiness>) {
    let etcd = format!("127.0.0.1:{METRICS_PORT}");
    let mut changes = readiness.subscribe();
    loop {
        if changes.wait_for(|now| now.runs).await.is_err() {
            return;
        }
        let answer = http_get(&etcd, "/readyz", ANSWER_TIMEOUT).await;
        let ready = answer.is_ok_and(|answer| answer.status() == StatusCode::OK);
        readiness.send_modify(|now| now.note_answer(ready && now.runs));
        let pause = if readiness.borrow().ready { ASK } else { ASK_SOON };
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ready(readiness: Readiness) -> bool {
        readiness.answer().status == StatusCode::OK
    }

    #[test]
    fn etcd_is_ready_once_it_says_so_and_a_missing_answer_or_two_change_nothing() {
        let mut readiness = Readiness::default();
        readiness.note_run(true);
        readiness.note_answer(false);
        assert!(!is_ready(readiness));
        readiness.note_answer(true);
        for _ in 0..MISSES {
            readiness.note_answer(false);
            assert!(is_ready(readiness));
        }
        readiness.note_answer(false);
        assert!(!is_ready(readiness));
        readiness.note_answer(true);
        assert!(is_ready(readiness));
    }

    #[test]
    fn a_drained_pod_is_not_ready_and_neither_is_one_whose_etcd_has_ended() {
        let mut readiness = Readiness::default();
        readiness.note_run(true);
        readiness.note_answer(true);
        readiness.draining = true;
        assert!(!is_ready(readiness));
        readiness.draining = false;
        assert!(is_ready(readiness));
        readiness.note_run(false);
        assert!(!is_ready(readiness));
        // The next run has yet to say it.
        readiness.note_run(true);
        assert!(!is_ready(readiness));
    }
}
