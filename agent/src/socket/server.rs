//! The agent's end of the socket: the state of the launcher, and the hooks that ask to leave.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::protocol::{self, Activity, Exit, FromAgent, LEAVE_SIGN_OF_LIFE, LaunchId, Lines, Lock, ToAgent};

/// The launcher's state by its last message, which stays while no launcher is connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LauncherState {
    /// A launcher is connected now.
    pub(crate) connected: bool,
    /// The run of the launcher; a new number is a new start of etcd's container.
    pub(crate) launch_id: Option<LaunchId>,
    /// The lock on the volume, as the launcher sees it.
    pub(crate) lock: Option<Lock>,
    pub(crate) phase: LauncherPhase,
    /// The end of the last run of etcd that this agent heard of.
    pub(crate) last_exit: Option<Exit>,
    /// Runs of etcd that ended, as far as this agent heard.
    pub(crate) exits: u64,
}

/// The launcher's work, as far as the agent knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LauncherPhase {
    /// No launcher has said hello to this agent: etcd may be running.
    #[default]
    Unknown,
    /// etcd does not run, and no plan is wanted: the lock is not held, or the launcher pauses or ends.
    Idle,
    /// The launcher holds the lock and waits for [`LauncherHandle::send_start`].
    AwaitingPlan,
    /// A plan was sent; its outcome is not known yet.
    Starting { plan: u64 },
    /// The launcher runs etcd.
    Running {
        /// Its process ID, in the launcher's container.
        pid: u32,
        /// The plan it was started with.
        plan: u64,
    },
}

/// Error: no launcher is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the launcher is not connected")]
pub(crate) struct NotConnected;

/// The listening socket; dropping it ends all connections.
#[derive(Debug)]
pub(crate) struct AgentSocket {
    /// The launcher, as seen and commanded from here.
    pub(crate) launcher: LauncherHandle,
    /// Hooks that ask to leave.
    pub(crate) leaves: mpsc::UnboundedReceiver<LeaveRequest>,
    accepting: AbortHandle,
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A handle on the launcher.
#[derive(Debug, Clone)]
pub(crate) struct LauncherHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<LauncherState>,
    /// The channel to the launcher that said hello last.
    link: Mutex<Option<mpsc::UnboundedSender<FromAgent>>>,
}

/// Listens on `path`, where a dead agent's socket may lie. Needs a running tokio runtime.
pub(crate) fn listen(path: &Path) -> io::Result<AgentSocket> {
    remove_stale(path)?;
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    let shared = Arc::new(Shared {
        state: watch::Sender::new(LauncherState::default()),
        link: Mutex::new(None),
    });
    let (leave, leaves) = mpsc::unbounded_channel();
    let accepting = tokio::spawn(accept(listener, shared.clone(), leave)).abort_handle();
    Ok(AgentSocket {
        launcher: LauncherHandle { shared },
        leaves,
        accepting,
    })
}

impl LauncherHandle {
    /// The launcher's state now.
    pub(crate) fn state(&self) -> LauncherState {
        self.shared.state.borrow().clone()
    }

    /// The launcher's state, whenever it changes.
    pub(crate) fn watch(&self) -> watch::Receiver<LauncherState> {
        self.shared.state.subscribe()
    }

    /// Orders the start of etcd. The phase is [`LauncherPhase::Starting`] at once, so that no plan is sent twice.
    pub(crate) fn send_start(&self, plan: u64, args: Vec<String>, data_dir: PathBuf) -> Result<(), NotConnected> {
        self.shared.send(FromAgent::Start { plan, args, data_dir })?;
        self.shared
            .state
            .send_modify(|state| state.phase = LauncherPhase::Starting { plan });
        Ok(())
    }

    /// Says that etcd is about to end because its member is removed.
    pub(crate) fn send_leaving(&self) -> Result<(), NotConnected> {
        self.shared.send(FromAgent::Leaving)
    }

    /// Orders the end of etcd, and of the launcher after it.
    #[cfg(test)]
    pub(crate) fn send_stop(&self) -> Result<(), NotConnected> {
        self.shared.send(FromAgent::Stop)
    }
}

impl Shared {
    fn link(&self) -> MutexGuard<'_, Option<mpsc::UnboundedSender<FromAgent>>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, message: FromAgent) -> Result<(), NotConnected> {
        let link = self.link();
        link.as_ref()
            .and_then(|link| link.send(message).ok())
            .ok_or(NotConnected)
    }

    /// True if `link` belongs to the launcher that said hello last.
    fn is_current(&self, link: &mpsc::UnboundedSender<FromAgent>) -> bool {
        self.link().as_ref().is_some_and(|current| current.same_channel(link))
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        // Something else: binding says that the address is in use.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>, leave: mpsc::UnboundedSender<LeaveRequest>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, shared.clone(), leave.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection on the agent's socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: UnixStream, shared: Arc<Shared>, leave: mpsc::UnboundedSender<LeaveRequest>) {
    let (from, to) = stream.into_split();
    let mut lines = Lines::new(from);
    match lines.next().await {
        Some(hello @ ToAgent::Hello { .. }) => serve_launcher(hello, lines, to, &shared).await,
        Some(ToAgent::Leave {}) => serve_leave(lines, to, &leave).await,
        _ => {}
    }
}

async fn serve_launcher(hello: ToAgent, mut lines: Lines, mut to: OwnedWriteHalf, shared: &Shared) {
    let (link, mut orders) = mpsc::unbounded_channel();
    *shared.link() = Some(link.clone());
    shared.state.send_modify(|state| apply_message(state, hello));
    loop {
        tokio::select! {
            message = lines.next() => {
                let Some(message) = message else { break };
                // A new launcher has said hello meanwhile: this one does not count.
                if !shared.is_current(&link) {
                    return;
                }
                if let ToAgent::Exited(exit) = &message {
                    // To ourselves, so that it goes out in turn.
                    _ = link.send(FromAgent::Noted { plan: exit.plan });
                }
                shared.state.send_modify(|state| apply_message(state, message));
            }
            Some(order) = orders.recv() => {
                if protocol::send(&mut to, &order).await.is_err() {
                    break;
                }
            }
        }
    }
    if shared.is_current(&link) {
        *shared.link() = None;
        shared.state.send_modify(|state| state.connected = false);
    }
}

/// Applies a message of the launcher to its state.
fn apply_message(state: &mut LauncherState, message: ToAgent) {
    match message {
        ToAgent::Hello {
            launch_id,
            lock,
            state: activity,
        } => {
            state.connected = true;
            state.launch_id = Some(launch_id);
            state.lock = Some(lock);
            state.phase = match activity {
                Activity::Idle => LauncherPhase::Idle,
                Activity::Running { pid, plan } => LauncherPhase::Running { pid, plan },
            };
        }
        ToAgent::AskPlan { lock } => {
            state.phase = if lock == Lock::Held {
                LauncherPhase::AwaitingPlan
            } else {
                LauncherPhase::Idle
            };
            state.lock = Some(lock);
        }
        ToAgent::Started { pid, plan } => state.phase = LauncherPhase::Running { pid, plan },
        ToAgent::Exited(exit) => {
            state.phase = LauncherPhase::Idle;
            state.last_exit = Some(exit);
            state.exits += 1;
        }
        ToAgent::Leave {} => {}
    }
}

/// A hook that asks to leave. Dropped without [`LeaveRequest::done`], the hook asks again.
#[derive(Debug)]
pub(crate) struct LeaveRequest {
    replies: mpsc::UnboundedSender<FromAgent>,
}

impl LeaveRequest {
    /// Sends the hook the sentence that says what it waits for.
    pub(crate) fn progress(&self, why: impl Into<String>) {
        _ = self.replies.send(FromAgent::LeaveProgress { why: why.into() });
    }

    /// Lets the hook end: nothing more is to be done while etcd lives.
    pub(crate) fn done(self, left: bool, why: impl Into<String>) {
        _ = self.replies.send(FromAgent::LeaveDone { left, why: why.into() });
    }

    /// True if the hook is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.replies.is_closed()
    }

    /// Returns when the hook is gone.
    #[cfg(test)]
    pub(crate) async fn gone(&self) {
        self.replies.closed().await;
    }
}

async fn serve_leave(mut lines: Lines, mut to: OwnedWriteHalf, leave: &mpsc::UnboundedSender<LeaveRequest>) {
    let (sender, mut replies) = mpsc::unbounded_channel();
    if leave.send(LeaveRequest { replies: sender }).is_err() {
        return;
    }
    let mut last = FromAgent::LeaveProgress {
        why: "the agent has been asked".to_owned(),
    };
    loop {
        if protocol::send(&mut to, &last).await.is_err() || matches!(last, FromAgent::LeaveDone { .. }) {
            return;
        }
        tokio::select! {
            reply = replies.recv() => match reply {
                Some(reply) => last = reply,
                None => return,
            },
            () = tokio::time::sleep(LEAVE_SIGN_OF_LIFE) => {}
            // A hook says nothing more: this is its end.
            None = lines.next::<ToAgent>() => return,
        }
    }
}

#[cfg(test)]
mod tests;
