//! The door that etcd's start passes: launchers run this program under etcd's name.
//!
//! It tells the run that etcd is about to start, waits until it may, and becomes etcd.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::gate::{Gate, Moment, Party, Passage, Verdict};

/// The environment variable with the path of the real etcd.
pub(crate) const REAL: &str = "MUSTER_FAULTS_ETCD";
/// The socket on which to knock, as the containers see it.
const SOCKET: &str = "/run/muster/door.sock";

/// Knocks, waits, and becomes etcd.
pub(crate) fn knock() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let allowed = || -> std::io::Result<()> {
        let mut stream = UnixStream::connect(SOCKET)?;
        writeln!(stream, "{}", arguments.join(" "))?;
        BufReader::new(stream).read_line(&mut String::new())?;
        Ok(())
    };
    if let Err(error) = allowed() {
        eprintln!("the door does not open: {error}");
        return ExitCode::FAILURE;
    }
    let etcd = std::env::var_os(REAL).unwrap_or_default();
    let error = Command::new(&etcd).args(&arguments).exec();
    eprintln!("{}: {error}", Path::new(&etcd).display());
    ExitCode::FAILURE
}

/// Keeps the door of a seat.
pub(crate) fn keep(folder: &Path, seat: u32, gate: Arc<Gate>) -> Result<tokio::task::AbortHandle> {
    let listener = UnixListener::bind(folder.join("door.sock"))?;
    let task = tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gate = gate.clone();
            tokio::task::spawn_local(async move {
                let mut stream = tokio::io::BufReader::new(stream);
                let mut arguments = String::new();
                _ = stream.read_line(&mut arguments).await;
                let passage = Passage {
                    from: Party::Seat(seat),
                    to: Party::Seat(seat),
                    what: format!("start etcd {}", arguments.trim_end()),
                    moment: Moment::Asked,
                };
                if gate.pass(passage).await == Verdict::Pass {
                    _ = stream.write_all(b"go\n").await;
                }
            });
        }
    });
    Ok(task.abort_handle())
}
