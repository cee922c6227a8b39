//! The first line and the last ones of etcd's stderr, for the agent; every byte goes on to the container's log.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// The lines of a stream that are kept.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The very first one: to a wrong flag etcd says what is wrong, and then its whole usage.
    pub(crate) first: Option<String>,
    /// The last ones, oldest first.
    pub(crate) last: VecDeque<String>,
}

/// A stream that goes somewhere else, of which lines are kept.
#[derive(Debug)]
pub(crate) struct Tail {
    kept: Arc<Mutex<Kept>>,
    ended: oneshot::Receiver<()>,
}

/// Lines that are kept.
const LINES: usize = 40;
/// Bytes of a line that are kept.
const LINE_BYTES: usize = 4096;

impl Tail {
    /// Copies `from` to `to`, in a thread of its own: the reader of `to` may be slow, and
    /// that must not keep a signal from being passed on.
    pub(crate) fn tee(from: impl Read + Send + 'static, to: impl Write + Send + 'static) -> std::io::Result<Self> {
        let kept = Arc::<Mutex<Kept>>::default();
        let (end, ended) = oneshot::channel();
        let lines = kept.clone();
        std::thread::Builder::new().name("stderr".to_owned()).spawn(move || {
            copy(from, to, &lines);
            _ = end.send(());
        })?;
        Ok(Self { kept, ended })
    }

    /// The lines, once the stream has ended; a stream that a grandchild still holds
    /// open is not waited for long.
    pub(crate) async fn finish(self) -> Kept {
        _ = tokio::time::timeout(Duration::from_millis(200), self.ended).await;
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn copy(mut from: impl Read, mut to: impl Write, kept: &Mutex<Kept>) {
    let (mut buffer, mut line) = ([0; 4096], Vec::new());
    let keep = |line: &[u8]| {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let line = String::from_utf8_lossy(line).into_owned();
        kept.first.get_or_insert_with(|| line.clone());
        if kept.last.len() == LINES {
            kept.last.pop_front();
        }
        kept.last.push_back(line);
    };
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        // A stderr that nobody reads is no reason to stop reading the child's.
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
        let Kept { first, last } = tail.finish().await;
        assert_eq!(first.unwrap(), "line 0");
        assert_eq!(last.len(), LINES);
        assert_eq!(last.front().unwrap(), "line 61");
        assert_eq!(last.back().unwrap(), "the end");
        let mut copied = String::new();
        std::io::BufReader::new(theirs).read_to_string(&mut copied).unwrap();
        assert_eq!(copied, text);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut_and_does_not_swallow_the_next() {
        let text = "x".repeat(3 * LINE_BYTES) + "\nnext\n";
        let tail = Tail::tee(std::io::Cursor::new(text), std::io::sink()).unwrap();
        let lines = tail.finish().await.last;
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].len(), LINE_BYTES);
        assert_eq!(lines[1], "next");
    }
}
