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

use crate::backoff::Backoff;
use crate::child::{self, Ended};

/// First and longest pause before the worker is started again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Life of a worker after which the pauses begin anew.
const LONG_LIFE: Duration = Duration::from_secs(60);

/// Runs this executable with `args`, again whenever it ends, until SIGTERM or SIGINT.
///
/// Returns when the worker has ended after such a signal.
pub(crate) fn supervise(args: &[OsString]) -> io::Result<()> {
    let signals = Signals::catch()?;
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let born = Instant::now();
        let pause = match spawn(args) {
            Ok(pid) => {
                let ended = attend(pid, &signals)?;
                if signals.end() {
                    return Ok(());
                }
                if born.elapsed() >= LONG_LIFE {
                    backoff.reset();
                }
                let pause = backoff.pause();
                tracing::error!("the agent ended ({ended:?}); it is started again in {pause:?}");
                pause
            }
            Err(error) => {
                let pause = backoff.pause();
                tracing::error!("cannot run the agent: {error}; again in {pause:?}");
                pause
            }
        };
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
    }
}

fn spawn(args: &[OsString]) -> io::Result<Pid> {
    let name = std::env::args_os().next().unwrap_or_else(|| "muster-agent".into());
    let child = Command::new("/proc/self/exe").arg0(name).args(args).spawn()?;
    Ok(Pid::from_child(&child))
}

/// Waits for the worker to end, and passes the request to end on to it.
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
            // Before the byte: a reader of the byte sees the flag.
            flag::register(signal, end.clone())?;
        }
        for signal in [SIGTERM, SIGINT, SIGCHLD] {
            pipe::register(signal, to.try_clone()?)?;
        }
        Ok(Self { bytes, end })
    }

    /// True if the end is wanted.
    fn end(&self) -> bool {
        self.end.load(Ordering::SeqCst)
    }

    /// Waits for a signal, for a time if one is given.
    fn wait(&self, time: Option<Duration>) -> io::Result<()> {
        self.bytes.set_read_timeout(time)?;
        // The number of signals does not matter: everything is looked at after each wait.
        match (&self.bytes).read(&mut [0; 64]).map(drop) {
            Err(error) if !matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    //! A supervisor catches the signals of its whole process, so each one here is a process
    //! of its own: this test executable, told to run one of the two functions below.

    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::{Child, ExitStatus, Stdio};

    use super::*;

    const DIR: &str = "MUSTER_TEST_DIR";
    /// For each life of the worker what it does, by a letter; the last one counts on.
    const LIVES: &str = "MUSTER_TEST_LIVES";

    #[test]
    #[ignore = "runs in a process of its own, for other tests"]
    fn as_a_supervisor() {
        if std::env::var_os(DIR).is_some() {
            let args = ["--ignored", "--exact", "sidecar::supervise::tests::as_a_worker"].map(OsString::from);
            let result = supervise(&args);
            std::process::exit(if result.is_ok() { 0 } else { 9 });
        }
    }

    #[test]
    #[ignore = "runs in a process of its own, for other tests"]
    fn as_a_worker() {
        let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else {
            return;
        };
        let lives = std::env::var(LIVES).unwrap();
        let signals = Signals::catch().unwrap();
        let life = fs::read_dir(&dir).unwrap().count();
        fs::write(dir.join(life.to_string()), std::process::id().to_string()).unwrap();
        match lives.chars().nth(life).or(lives.chars().last()) {
            Some('0') => std::process::exit(0),
            Some('1') => std::process::exit(1),
            _ => {}
        }
        while !signals.end() {
            signals.wait(None).unwrap();
        }
        fs::write(dir.join("told"), "").unwrap();
        std::process::exit(5);
    }

    struct Supervisor {
        dir: tempfile::TempDir,
        process: Child,
    }

    impl Supervisor {
        fn run(lives: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let process = Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "sidecar::supervise::tests::as_a_supervisor"])
                .env(DIR, dir.path())
                .env(LIVES, lives)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            Self { dir, process }
        }

        /// Waits for a life of the worker; returns its process ID.
        fn life(&self, number: usize) -> Pid {
            let path = self.dir.path().join(number.to_string());
            let pid = poll("the worker does not come", || {
                fs::read_to_string(&path).ok()?.parse().ok()
            });
            Pid::from_raw(pid).unwrap()
        }

        fn signal(&self, signal: i32) {
            child::kill(Pid::from_child(&self.process), signal);
        }

        fn end(&mut self) -> ExitStatus {
            poll("the supervisor does not end", || self.process.try_wait().unwrap())
        }
    }

    impl Drop for Supervisor {
        fn drop(&mut self) {
            // Killed, it would leave its worker behind.
            if let Ok(None) = self.process.try_wait() {
                self.signal(SIGTERM);
                let until = Instant::now() + Duration::from_secs(5);
                while Instant::now() < until && matches!(self.process.try_wait(), Ok(None)) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            _ = self.process.kill();
            _ = self.process.wait();
        }
    }

    fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            match look() {
                Some(found) => return found,
                None if Instant::now() > until => panic!("{what}"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    #[test]
    fn a_worker_that_ends_in_any_way_is_started_again_by_the_same_parent() {
        let mut supervisor = Supervisor::run("01w");
        supervisor.life(0);
        let began = Instant::now();
        let second = supervisor.life(1);
        let third = supervisor.life(2);
        assert_ne!(second, third);
        // The second pause is twice the first.
        assert!(began.elapsed() > FIRST_PAUSE * 5 / 2, "{:?}", began.elapsed());
        child::kill(third, signal_hook::consts::SIGKILL);
        supervisor.life(3);
        assert!(supervisor.process.try_wait().unwrap().is_none());
    }

    #[test]
    fn a_request_to_end_is_passed_on_and_fulfilled_when_the_worker_has_ended() {
        for signal in [SIGTERM, SIGINT] {
            let mut supervisor = Supervisor::run("w");
            let worker = supervisor.life(0);
            supervisor.signal(signal);
            // How the worker ended does not matter: it was asked to.
            assert_eq!(supervisor.end().code(), Some(0));
            assert!(supervisor.dir.path().join("told").exists());
            assert!(!Path::new("/proc").join(worker.as_raw_pid().to_string()).exists());
            assert!(!supervisor.dir.path().join("1").exists());
        }
    }

    #[test]
    fn a_request_to_end_does_not_wait_for_the_next_life() {
        let mut supervisor = Supervisor::run("1");
        supervisor.life(3);
        let asked = Instant::now();
        supervisor.signal(SIGTERM);
        assert_eq!(supervisor.end().code(), Some(0));
        // The pause it is in takes 1.6 s.
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
}
