//! `muster-agent leave`: the hook that runs before etcd's container is stopped.
//!
//! It asks the agent and waits. The agent knows whether the end of this pod means that
//! the member leaves; most ends do not. A terminating pod's agent is not always restarted,
//! so when it stays silent the hook does what it can by itself, and lets etcd serve for a
//! while: long enough for the other seats' agents to remove a member that is not wanted.
//! It never outlives its deadline: etcd gets its signal only after the hook.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_membership::timing;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::socket::protocol::{self, FromAgent, Lines, SOCKET, ToAgent};
use crate::socket::server::LEAVE_SIGN_OF_LIFE;

/// More than the agent beside the leader, and its deputy after it, wait before they remove a
/// member that should leave by itself.
const OTHERS: Duration = timing::TIME_TO_LEAVE
    .saturating_add(timing::TIME_TO_DEPUTISE)
    .saturating_add(timing::FRESHNESS);

/// Where to ask, and how long.
#[derive(Debug, Clone)]
pub struct LeaveConfig {
    /// The agent's socket.
    pub socket: PathBuf,
    /// After this, the hook ends, whatever was achieved.
    pub deadline: Duration,
    /// For this long a missing agent is tried again.
    pub agent_wait: Duration,
    /// An agent that says nothing for this long hangs.
    pub silence: Duration,
    /// After that, for this long etcd serves on, and the agent may come back.
    pub patience: Duration,
}

impl Default for LeaveConfig {
    fn default() -> Self {
        Self {
            socket: SOCKET.into(),
            deadline: Duration::from_secs(110),
            agent_wait: Duration::from_secs(5),
            silence: LEAVE_SIGN_OF_LIFE * 3,
            patience: OTHERS,
        }
    }
}

/// How the hook ended. None of them is a failure to the kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaveEnd {
    /// The agent says that nothing is left to do.
    Done {
        /// Whether the member left the cluster.
        left: bool,
        /// In a sentence.
        why: String,
    },
    /// The agent was not there, and the hook did what it could.
    WithoutAgent,
    /// Time was up.
    Deadline,
}

/// Asks the agent to leave, `say`s what is being waited for, and returns when it is done.
///
/// `without_agent` is for when the agent is not there. The hook ends with it, or when an agent that
/// has come back is done, or when patience or time is up.
pub async fn leave<F, Fut>(config: LeaveConfig, mut say: impl FnMut(&str), without_agent: F) -> LeaveEnd
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = ()>,
{
    let work = async {
        let mut answer = ask(&config, config.agent_wait, &mut say).await;
        if answer.is_none() {
            say("the agent does not answer: leadership is handed on, and etcd serves on for a while");
            answer = tokio::select! {
                () = without_agent() => None,
                answer = ask(&config, config.patience, &mut say) => answer,
            };
        }
        match answer {
            Some((left, why)) => LeaveEnd::Done { left, why },
            None => LeaveEnd::WithoutAgent,
        }
    };
    timeout(config.deadline, work).await.unwrap_or(LeaveEnd::Deadline)
}

/// Asks until the agent is done; `None` when it was not heard for `wait`, or for too long later.
async fn ask(config: &LeaveConfig, wait: Duration, say: &mut impl FnMut(&str)) -> Option<(bool, String)> {
    let mut give_up = Instant::now() + wait;
    let mut said = String::new();
    loop {
        if let Ok(Ok(mut lines)) = timeout_at(give_up, connect(&config.socket)).await {
            // The write half must stay: closing it would be this hook's end.
            while let Ok(Some(message)) = timeout(config.silence, lines.0.next()).await {
                give_up = give_up.max(Instant::now() + config.agent_wait);
                match message {
                    FromAgent::LeaveProgress { why } if why != said => {
                        say(&why);
                        said = why;
                    }
                    FromAgent::LeaveDone { left, why } => return Some((left, why)),
                    _ => {}
                }
            }
        }
        let pause = Instant::now() + Duration::from_millis(200);
        if pause >= give_up {
            return None;
        }
        tokio::time::sleep_until(pause).await;
    }
}

async fn connect(socket: &Path) -> std::io::Result<(Lines, tokio::net::unix::OwnedWriteHalf)> {
    let (from, mut to) = UnixStream::connect(socket).await?.into_split();
    protocol::send(&mut to, &ToAgent::Leave {}).await?;
    Ok((Lines::new(from), to))
}

#[cfg(test)]
mod tests;
