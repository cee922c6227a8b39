//! A child process and its end, for a parent that may be process 1 of its container.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// The end of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Code(i32),
    Signal(i32),
}

impl Ended {
    pub(crate) fn code(self) -> Option<i32> {
        if let Self::Code(code) = self { Some(code) } else { None }
    }

    pub(crate) fn signal(self) -> Option<i32> {
        if let Self::Signal(signal) = self {
            Some(signal)
        } else {
            None
        }
    }

    /// The status that a shell would report.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Code(code) => u8::try_from(code).unwrap_or(1),
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(255),
        }
    }
}

/// Collects what has ended, without waiting; returns how `child` ended, if it did.
///
/// Process 1 inherits the orphans of its container and must collect them too. Any other
/// process must not: its children may belong to another part of it.
pub(crate) fn reap(child: Option<Pid>) -> Option<Ended> {
    let everyone = std::process::id() == 1;
    let whom = if everyone { None } else { Some(child?) };
    loop {
        match waitpid(whom, WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if Some(pid) == child => {
                return match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Some(Ended::Code(code)),
                    (_, Some(signal)) => Some(Ended::Signal(signal)),
                    // Stopped or continued: it lives. Not asked for, so it does not come.
                    _ => continue,
                };
            }
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return None,
            // It is not there any more, and its end is not known.
            Err(_) => return child.map(|_| Ended::Code(1)),
        }
    }
}

/// Sends a signal; a child that has ended, or an unknown signal, is no matter.
pub(crate) fn kill(child: Pid, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        _ = kill_process(child, signal);
    }
}
