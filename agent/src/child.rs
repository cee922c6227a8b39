//! A child process, watched by a parent that may be process 1 of its container.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::sync::oneshot;

/// How a child ended.
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
/// process must not: its children may belong to somebody else in it.
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
            // It is not there any more, and nobody knows how it ended.
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

/// The last lines of a stream that goes somewhere else.
#[derive(Debug)]
pub(crate) struct Tail {
    lines: Arc<Mutex<VecDeque<String>>>,
    ended: oneshot::Receiver<()>,
}

/// How many lines are kept, and how much of each.
const LINES: usize = 40;
const LINE_BYTES: usize = 4096;

impl Tail {
    /// Copies `from` to `to`, in a thread of its own: whoever reads `to` may be slow, and
    /// that must not keep a signal from being passed on.
    pub(crate) fn tee(from: impl Read + Send + 'static, to: impl Write + Send + 'static) -> std::io::Result<Self> {
        let lines = Arc::new(Mutex::new(VecDeque::with_capacity(LINES)));
        let (end, ended) = oneshot::channel();
        let kept = lines.clone();
        std::thread::Builder::new().name("stderr".to_owned()).spawn(move || {
            copy(from, to, &kept);
            _ = end.send(());
        })?;
        Ok(Self { lines, ended })
    }

    /// The last lines, once the stream has ended; a stream that a grandchild still holds
    /// open is not waited for long.
    pub(crate) async fn finish(self) -> Vec<String> {
        _ = tokio::time::timeout(Duration::from_millis(200), self.ended).await;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.drain(..).collect()
    }
}

fn copy(mut from: impl Read, mut to: impl Write, lines: &Mutex<VecDeque<String>>) {
    let (mut buffer, mut line) = ([0; 4096], Vec::new());
    let keep = |line: &[u8]| {
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(line).into_owned());
    };
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        // Nobody reading our stderr is no reason to stop reading the child's.
        _ = to.write_all(read).and_then(|()| to.flush());
        for piece in read.split_inclusive(|&byte| byte == b'\n') {
            let whole = piece.ends_with(b"\n");
            let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = LINE_BYTES.saturating_sub(line.len()).min(piece.len());
            line.extend_from_slice(&piece[..room]);
            if whole {
                keep(&line);
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        keep(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_and_every_byte_goes_on() {
        let text: String = (0..100).map(|i| format!("line {i}\n")).collect::<String>() + "the end";
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let tail = Tail::tee(std::io::Cursor::new(text.clone()), ours).unwrap();
        let lines = tail.finish().await;
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines.first().unwrap(), "line 61");
        assert_eq!(lines.last().unwrap(), "the end");
        let mut copied = String::new();
        std::io::BufReader::new(theirs).read_to_string(&mut copied).unwrap();
        assert_eq!(copied, text);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut_and_does_not_swallow_the_next() {
        let text = "x".repeat(3 * LINE_BYTES) + "\nnext\n";
        let tail = Tail::tee(std::io::Cursor::new(text), std::io::sink()).unwrap();
        let lines = tail.finish().await;
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].len(), LINE_BYTES);
        assert_eq!(lines[1], "next");
    }
}
