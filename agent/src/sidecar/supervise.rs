//! A tiny parent that keeps the agent running.
//!
//! Kubernetes counts a native sidecar that restarts against its pod's readiness, and etcd
//! must never be made unready because the agent crashed. So `muster-agent serve` is this
//! parent, process 1 of the agent's container, and the agent is its child: a crash is a
//! short gap that Kubernetes does not see. What the kubelet does see is an agent that
//! hangs, or does not come back: its liveness probe goes to the agent itself.
//!
//! The parent has no runtime and no threads; it sleeps until a signal comes.

use std::ffi::OsString;
use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

use crate::child::{self, Ended};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A worker that lived this long is a good one: the pauses begin anew.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// Runs this executable with `args`, again whenever it ends, until SIGTERM or SIGINT.
///
/// Returns when the worker has ended after such a signal.
pub fn supervise(args: &[OsString]) -> io::Result<()> {
    let signals = Signals::catch()?;
    let mut pause = FIRST_PAUSE;
    loop {
        let born = Instant::now();
        match spawn(args) {
            Ok(pid) => {
                let ended = attend(pid, &signals)?;
                if signals.end() {
                    return Ok(());
                }
                if born.elapsed() >= LONG_LIFE {
                    pause = FIRST_PAUSE;
                }
                tracing::error!("the agent ended ({ended:?}); it is started again in {pause:?}");
            }
            Err(error) => tracing::error!("cannot run the agent: {error}; again in {pause:?}"),
        }
        let until = Instant::now() + pause;
        while !signals.end() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            signals.wait(Some(left))?;
            child::reap(None);
        }
        if signals.end() {
            return Ok(());
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn spawn(args: &[OsString]) -> io::Result<Pid> {
    let name = std::env::args_os().next().unwrap_or_else(|| "muster-agent".into());
    let child = Command::new("/proc/self/exe").arg0(name).args(args).spawn()?;
    Ok(Pid::from_child(&child))
}

/// Waits for the worker to end, and passes on what it is to know.
fn attend(worker: Pid, signals: &Signals) -> io::Result<Ended> {
    let mut told = false;
    loop {
        if signals.end() && !told {
            child::kill(worker, SIGTERM);
            told = true;
        }
        if let Some(ended) = child::reap(Some(worker)) {
            return Ok(ended);
        }
        signals.wait(None)?;
    }
}

/// The signals that have come; each one writes a byte, so that waiting for one misses none.
struct Signals {
    bytes: UnixStream,
    end: Arc<AtomicBool>,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        let (bytes, to) = UnixStream::pair()?;
        let end = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // Before the byte: whoever reads it sees the flag.
            flag::register(signal, end.clone())?;
        }
        for signal in [SIGTERM, SIGINT, SIGCHLD] {
            pipe::register(signal, to.try_clone()?)?;
        }
        Ok(Self { bytes, end })
    }

    /// Whether the end is wanted.
    fn end(&self) -> bool {
        self.end.load(Ordering::SeqCst)
    }

    /// Waits for a signal, for a time if one is given.
    fn wait(&self, time: Option<Duration>) -> io::Result<()> {
        self.bytes.set_read_timeout(time)?;
        // How many came does not matter: whoever waits looks at everything.
        match (&self.bytes).read(&mut [0; 64]).map(drop) {
            Err(error) if !matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
