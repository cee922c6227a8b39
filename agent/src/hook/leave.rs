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

use crate::socket::protocol::{self, FromAgent, LEAVE_SIGN_OF_LIFE, Lines, SOCKET, ToAgent};

/// Time by which the agent beside the leader, or its deputy after it, has removed a member that should leave
/// by itself.
const OTHERS: Duration = timing::TIME_TO_LEAVE
    .saturating_add(timing::TIME_TO_DEPUTISE)
    .saturating_add(timing::FRESHNESS);

/// The agent's socket, and the hook's patience.
#[derive(Debug, Clone)]
pub(crate) struct LeaveConfig {
    pub(crate) socket: PathBuf,
    /// Time after which the hook ends, whatever was achieved.
    pub(crate) deadline: Duration,
    /// Time for which a missing agent is asked again.
    pub(crate) agent_wait: Duration,
    /// Silence after which an agent is taken to hang.
    pub(crate) silence: Duration,
    /// Time after that for which etcd serves on, and the agent may come back.
    pub(crate) patience: Duration,
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

/// The end of the hook. None of them is a failure to the kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LeaveEnd {
    /// The agent says that nothing is left to do.
    Done {
        /// True if the member left the cluster.
        left: bool,
        /// The sentence that says so.
        why: String,
    },
    /// The agent did not answer, and the hook did what it could.
    WithoutAgent,
    /// The deadline passed.
    Deadline,
}

/// Asks the agent to leave, passes to `say` each sentence that says what it waits for, and returns when it is done.
///
/// `without_agent` is for when the agent is not there. The hook ends with it, or when an agent that
/// has come back is done, or when patience or time is up.
pub(crate) async fn leave<F, Fut>(config: LeaveConfig, mut say: impl FnMut(&str), without_agent: F) -> LeaveEnd
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

/// Asks until the agent is done; `None` if it was not heard for `wait`, or for too long later.
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
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::socket::server::listen;

    fn config(socket: PathBuf) -> LeaveConfig {
        LeaveConfig {
            socket,
            deadline: Duration::from_secs(20),
            agent_wait: Duration::from_millis(500),
            silence: Duration::from_secs(10),
            patience: Duration::from_secs(60),
        }
    }

    fn socket() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        (dir, path)
    }

    async fn unneeded() {
        panic!("the agent is there");
    }

    #[tokio::test]
    async fn the_agent_is_asked_and_each_reason_said_once() {
        let (_dir, path) = socket();
        let mut server = listen(&path).unwrap();
        let agent = async {
            let request = server.leaves.recv().await.unwrap();
            for why in ["one", "one", "two"] {
                request.progress(why);
            }
            request.done(true, "member 1 has left");
        };
        let said = RefCell::new(Vec::new());
        let hook = leave(config(path), |why| said.borrow_mut().push(why.to_owned()), unneeded);
        let ((), end) = tokio::join!(agent, hook);
        assert_eq!(
            end,
            LeaveEnd::Done {
                left: true,
                why: "member 1 has left".to_owned()
            }
        );
        assert_eq!(said.into_inner(), ["the agent has been asked", "one", "two"]);
    }

    #[tokio::test]
    async fn an_agent_that_dies_and_comes_back_is_asked_again() {
        let (_dir, path) = socket();
        let mut server = listen(&path).unwrap();
        let agent = async {
            let first = server.leaves.recv().await.unwrap();
            drop(server);
            drop(first);
            let mut server = listen(&path).unwrap();
            let second = server.leaves.recv().await.unwrap();
            second.done(false, "a restart");
            std::future::pending::<()>().await;
            drop(server);
        };
        let hook = leave(config(path.clone()), |_| {}, unneeded);
        let end = tokio::select! {
            end = hook => end,
            () = agent => unreachable!(),
        };
        assert_eq!(
            end,
            LeaveEnd::Done {
                left: false,
                why: "a restart".to_owned()
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_agent_the_hook_does_it_itself() {
        let (_dir, path) = socket();
        let began = Instant::now();
        let done = Cell::new(false);
        let end = leave(config(path), |_| {}, || async { done.set(true) }).await;
        assert_eq!(end, LeaveEnd::WithoutAgent);
        assert!(done.get());
        assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn etcd_serves_on_for_a_while_without_an_agent() {
        let (_dir, path) = socket();
        let began = Instant::now();
        let config = LeaveConfig {
            patience: Duration::from_secs(15),
            ..config(path)
        };
        let end = leave(config, |_| {}, std::future::pending).await;
        assert_eq!(end, LeaveEnd::WithoutAgent);
        assert!((15..17).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn an_agent_that_comes_back_late_decides() {
        let (_dir, path) = socket();
        let alone = std::sync::Arc::new(tokio::sync::Notify::new());
        let (told, late) = (alone.clone(), path.clone());
        let agent = async move {
            alone.notified().await;
            let mut server = listen(&late).unwrap();
            server.leaves.recv().await.unwrap().done(true, "it has left");
            std::future::pending::<()>().await;
            drop(server);
        };
        let without = || async move {
            told.notify_one();
            std::future::pending().await
        };
        let end = tokio::select! {
            end = leave(config(path), |_| {}, without) => end,
            () = agent => unreachable!(),
        };
        let why = "it has left".to_owned();
        assert_eq!(end, LeaveEnd::Done { left: true, why });
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_hangs_is_not_waited_for_to_the_end() {
        let (_dir, path) = socket();
        let _hung = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let began = Instant::now();
        let end = leave(config(path), |_| {}, || async {}).await;
        assert_eq!(end, LeaveEnd::WithoutAgent);
        assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_holds_even_while_the_agent_talks() {
        let (_dir, path) = socket();
        let mut server = listen(&path).unwrap();
        let began = Instant::now();
        let hook = leave(config(path), |_| {}, unneeded);
        let agent = async {
            let request = server.leaves.recv().await.unwrap();
            request.gone().await;
        };
        let (end, ()) = tokio::join!(hook, agent);
        assert_eq!(end, LeaveEnd::Deadline);
        assert_eq!(began.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_cuts_off_what_is_done_without_the_agent() {
        let (_dir, path) = socket();
        let began = Instant::now();
        let end = leave(config(path), |_| {}, std::future::pending).await;
        assert_eq!(end, LeaveEnd::Deadline);
        assert_eq!(began.elapsed().as_secs(), 20);
    }
}
