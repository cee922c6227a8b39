//! What is said on the socket: one JSON object a line, either way.
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

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::volume::hex;

/// Where the agent listens.
pub const SOCKET: &str = "/run/muster/agent.sock";

/// One run of the launcher's process, by a random number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaunchId(#[serde(with = "hex")] pub u64);

/// Whether the launcher holds the lock on the volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lock {
    /// It does: nothing else runs on this volume.
    Held,
    /// Another process does: the pod before this one, still running.
    Taken,
    /// The lock file cannot be opened or locked.
    Failed {
        /// What the operating system said.
        why: String,
    },
}

/// What the launcher is doing when it connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Activity {
    /// No etcd runs.
    Idle,
    /// etcd runs.
    Running {
        /// etcd's process ID, in the launcher's container.
        pid: u32,
        /// The plan it was started with.
        plan: u64,
    },
}

/// How a run of etcd ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// The plan it was started with.
    pub plan: u64,
    /// Its exit code; none if a signal ended it or it could not be started.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The last lines it wrote to stderr, oldest first.
    pub stderr: Vec<String>,
    /// A write-ahead log is there: the launcher ends too, and a new one will say hello.
    pub had_wal: bool,
}

/// What the agent is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum ToAgent {
    /// A launcher is there: the first line of its connection.
    Hello {
        /// Which run of the launcher this is.
        launch_id: LaunchId,
        /// Whether it holds the lock.
        lock: Lock,
        /// What it is doing.
        state: Activity,
    },
    /// The launcher has nothing to run.
    AskPlan {
        /// Whether it holds the lock; without it, a plan is of no use yet.
        lock: Lock,
    },
    /// etcd runs.
    Started {
        /// Its process ID.
        pid: u32,
        /// The plan it was started with.
        plan: u64,
    },
    /// etcd ended, or could not be started.
    Exited(Exit),
    /// The hook asks to leave: the only line of its connection.
    Leave {},
}

/// What the agent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum FromAgent {
    /// Run etcd.
    Start {
        /// The number of this start; the agent's to choose.
        plan: u64,
        /// etcd's arguments.
        args: Vec<String>,
        /// etcd's data directory, which the launcher looks at for a write-ahead log.
        data_dir: PathBuf,
    },
    /// End etcd, then yourself.
    Stop,
    /// etcd's member is about to be removed, which ends etcd with 0: that is not the container's end.
    Leaving,
    /// The exit of this plan was taken note of.
    Noted {
        /// The plan.
        plan: u64,
    },
    /// Still on it; sent again and again, so that silence means the agent hangs.
    LeaveProgress {
        /// What is being waited for.
        why: String,
    },
    /// Nothing is left to do for the hook.
    LeaveDone {
        /// Whether the member left the cluster.
        left: bool,
        /// In a sentence.
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
    /// A message of an unknown type is skipped: the two sides can be of different versions
    /// while the agent's container restarts with a new image.
    pub(crate) async fn next<M: DeserializeOwned>(&mut self) -> Option<M> {
        loop {
            // `read_until` keeps what it has read in `line` when it is cancelled.
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

/// Writes one message.
pub(crate) async fn send<M: Serialize>(to: &mut OwnedWriteHalf, message: &M) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line).await
}
