//! Messages on the socket: one JSON object a line, either way.
//!
//! ```text
//!   launcher                              agent
//!      │ Hello {idle} ──────────────────────▶│   at every connection
//!      │ AskPlan ───────────────────────────▶│
//!      │◀────────────────────── Start {plan} │   when it has decided
//!      │ Started ───────────────────────────▶│
//!      │ Exited ────────────────────────────▶│   then AskPlan again, or the end
//!      │◀───────────────────────────── Noted │
//!
//!   hook (a connection of its own)
//!      │ Leave ─────────────────────────────▶│
//!      │◀─────────────────── LeaveProgress … │
//!      │◀───────────────────────── LeaveDone │
//! ```
//!
//! Both ends are one executable: the agent's container puts its own into the pod's shared directory before etcd's
//! container starts. So the messages need not be read by another release. Only an image that somebody changes in a
//! running pod makes a difference: then a message of an unknown type is skipped, and an unknown key ignored, until
//! the pod is replaced.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::volume::hex;

/// Path of the agent's socket.
pub(crate) const SOCKET: &str = "/run/muster/agent.sock";

/// Interval at which a waiting hook hears of the agent.
pub(crate) const LEAVE_SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// One run of the launcher's process, by a random number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct LaunchId(#[serde(with = "hex")] pub(crate) u64);

/// The lock on the volume, as the launcher sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Lock {
    /// It does: nothing else runs on this volume.
    Held,
    /// Another process does: the pod before this one, still running.
    Taken,
    /// The lock file cannot be opened or locked.
    Failed {
        /// The operating system's words.
        why: String,
    },
}

/// The launcher's work when it connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Activity {
    /// It runs nothing.
    Idle,
    /// It runs etcd.
    Running {
        /// etcd's process ID, in the launcher's container.
        pid: u32,
        /// The plan it was started with.
        plan: u64,
    },
}

/// The end of a run of etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exit {
    /// The plan it was started with.
    pub(crate) plan: u64,
    /// Its exit code; none if a signal ended it or it could not be started.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// The first line it wrote to stderr.
    #[serde(default)]
    pub(crate) first_line: Option<String>,
    /// The last lines it wrote to stderr, oldest first.
    pub(crate) stderr: Vec<String>,
    /// A write-ahead log is there: the launcher ends too, and a new one will say hello.
    pub(crate) had_wal: bool,
}

/// Messages to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub(crate) enum ToAgent {
    /// A launcher is there: the first line of its connection.
    Hello {
        /// The run of the launcher.
        launch_id: LaunchId,
        lock: Lock,
        state: Activity,
    },
    /// The launcher has nothing to run.
    AskPlan {
        /// The lock; unless it is held, a plan is of no use yet.
        lock: Lock,
    },
    /// etcd was started.
    Started {
        /// The process ID of etcd.
        pid: u32,
        /// The plan it was started with.
        plan: u64,
    },
    /// etcd ended, or could not be started.
    Exited(Exit),
    /// The hook asks to leave: the only line of its connection.
    Leave {},
}

/// Messages of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub(crate) enum FromAgent {
    /// The order to run etcd.
    Start {
        /// The number of this start; the agent's to choose.
        plan: u64,
        args: Vec<String>,
        /// etcd's data directory, which the launcher looks at for a write-ahead log.
        data_dir: PathBuf,
    },
    /// The order to end etcd, and then the launcher.
    Stop,
    /// etcd's member is about to be removed, which ends etcd with 0: that is not the container's end.
    Leaving,
    /// The exit of this plan was taken note of.
    Noted { plan: u64 },
    /// Still on it; sent again and again, so that silence means the agent hangs.
    LeaveProgress {
        /// The sentence that says what is waited for.
        why: String,
    },
    /// Nothing is left to do for the hook.
    LeaveDone {
        /// True if the member left the cluster.
        left: bool,
        /// The sentence that says so.
        why: String,
    },
}

/// Reads lines; cancelling `next` loses nothing.
#[derive(Debug)]
pub(crate) struct Lines {
    from: BufReader<OwnedReadHalf>,
    line: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(from: OwnedReadHalf) -> Self {
        Self {
            from: BufReader::with_capacity(2048, from),
            line: Vec::new(),
        }
    }

    /// The next message; `None` when the other side is gone or talks nonsense.
    ///
    /// A message of an unknown type is skipped.
    pub(crate) async fn next<M: DeserializeOwned>(&mut self) -> Option<M> {
        loop {
            // `read_until` keeps in `line` what it has read when it is cancelled.
            match self.from.read_until(b'\n', &mut self.line).await {
                Ok(1..) if self.line.ends_with(b"\n") => {}
                _ => return None,
            }
            let line = std::mem::take(&mut self.line);
            match serde_json::from_slice(&line) {
                Ok(message) => return Some(message),
                Err(error) => tracing::debug!(%error, "skipped a line on the agent's socket"),
            }
        }
    }
}

/// Writes one message as a line.
pub(crate) async fn send<M: Serialize>(to: &mut OwnedWriteHalf, message: &M) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line).await
}
