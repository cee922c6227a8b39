//! `muster-agent launch`: process 1 of etcd's container. It runs what the agent says.
//!
//! ```text
//!                 Start                          etcd ended, no write-ahead log
//!   waiting ────────────────▶ running ────────────────────────────┐
//!      ▲  │ SIGTERM, Stop        │ a log is there, SIGTERM, Stop   │
//!      │  ▼                      ▼                                 │
//!      │  end with 0             end with etcd's status            │
//!      └───────────────────────── short pause ◀────────────────────┘
//! ```
//!
//! Until there is a log, a start that failed is planned anew at once: the kubelet's
//! back-off would make joining slow. From then on each end of etcd ends the container,
//! so that crashes stay visible in its restart count, but for the clean end of an etcd
//! whose agent has said that its member is being removed: the pod is about to end, and
//! a container that starts once more would only delay that.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::link::{LinkEvent, keep_connected};
use super::tail::{Kept, Tail};
use crate::backoff::Backoff;
use crate::child::{self, Ended};
use crate::socket::protocol::{Activity, Exit, FromAgent, LaunchId, Lock, SOCKET, ToAgent};
use crate::volume::{DEFAULT_ROOT, VolumeLock, wal};

/// Environment variable that names another etcd than the image's.
pub(crate) const ETCD_BINARY: &str = "MUSTER_ETCD_BINARY";

/// Pause between two attempts to take the volume's lock.
const LOCK_RETRY: Duration = Duration::from_millis(500);
/// First and longest pause before another plan is asked for.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Run of etcd after which its end is no failed start: the pauses begin anew.
const LONG_RUN: Duration = Duration::from_secs(10);
/// Time that etcd gets to end after a signal, before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// Time that the agent gets to take note of an exit before the launcher ends.
const REPORT_PATIENCE: Duration = Duration::from_secs(1);
/// Exit status of an etcd that could not be run, as a shell would report it.
const COMMAND_NOT_FOUND: u8 = 127;

/// Paths in etcd's container.
#[derive(Debug, Clone)]
pub(crate) struct LaunchConfig {
    pub(crate) socket: PathBuf,
    /// The root of the volume.
    pub(crate) root: PathBuf,
    /// etcd's executable; without a slash, it is looked for in `PATH`.
    pub(crate) etcd: PathBuf,
}

impl LaunchConfig {
    /// The places in the pod, with the etcd that the environment names.
    pub(crate) fn from_env() -> Self {
        let etcd = std::env::var_os(ETCD_BINARY).map(PathBuf::from).unwrap_or_else(|| {
            let usual = PathBuf::from("/usr/local/bin/etcd");
            if usual.exists() { usual } else { "etcd".into() }
        });
        Self {
            socket: SOCKET.into(),
            root: DEFAULT_ROOT.into(),
            etcd,
        }
    }
}

/// Runs etcd as the agent says, until the container shall end; returns the exit status.
pub(crate) async fn launch(config: LaunchConfig) -> io::Result<u8> {
    let (sender, signals) = mpsc::unbounded_channel();
    for kind in [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::hangup(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ] {
        let (mut received, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while received.recv().await.is_some() {
                _ = sender.send(kind);
            }
        });
    }
    run(config, LaunchId(rand::random()), signals).await
}

/// The same as [`launch`], with the signals from a channel.
pub(crate) async fn run(
    config: LaunchConfig,
    launch_id: LaunchId,
    mut signals: mpsc::UnboundedReceiver<SignalKind>,
) -> io::Result<u8> {
    let (sender, events) = mpsc::channel(16);
    let connecting = tokio::spawn(keep_connected(config.socket.clone(), sender));
    let mut launcher = Launch {
        config,
        launch_id,
        lock: None,
        lock_state: Lock::Failed {
            why: "not tried yet".to_owned(),
        },
        lock_retry: Some(Instant::now()),
        link: None,
        events,
        etcd: None,
        unreported: None,
        ask_at: None,
        backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        leaving: false,
        ending: None,
        kill_at: None,
    };
    launcher.tick(Instant::now());
    let status = launcher.run(&mut signals, signal(SignalKind::child())?).await;
    connecting.abort();
    Ok(status)
}

struct Launch {
    config: LaunchConfig,
    launch_id: LaunchId,
    lock: Option<VolumeLock>,
    lock_state: Lock,
    lock_retry: Option<Instant>,
    link: Option<mpsc::UnboundedSender<ToAgent>>,
    events: mpsc::Receiver<LinkEvent>,
    etcd: Option<RunningEtcd>,
    /// The last exit, until the agent has taken note of it.
    unreported: Option<Exit>,
    /// The time at which a plan is asked for; none while etcd runs, and once it was asked for.
    ask_at: Option<Instant>,
    backoff: Backoff,
    /// True if the agent is about to remove this etcd's member.
    leaving: bool,
    /// The order to end that etcd was given: the launcher ends after it.
    ending: Option<Ending>,
    kill_at: Option<Instant>,
}

/// The side that ordered the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The sender of this signal: the kubelet, as a rule.
    Signal(i32),
    /// The agent: however etcd ends then, it is no failure.
    Agent,
}

/// The etcd that runs.
struct RunningEtcd {
    pid: Pid,
    plan: u64,
    data_dir: PathBuf,
    since: Instant,
    tail: Tail,
}

impl Launch {
    async fn run(&mut self, signals: &mut mpsc::UnboundedReceiver<SignalKind>, mut children: Signal) -> u8 {
        loop {
            let due = [self.lock_retry, self.ask_at, self.kill_at].into_iter().flatten().min();
            let status = tokio::select! {
                Some(event) = self.events.recv() => self.handle(event).await,
                Some(kind) = signals.recv() => self.signal(kind),
                _ = children.recv() => self.collect().await,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.tick(Instant::now());
                    None
                }
            };
            if let Some(status) = status {
                return status;
            }
        }
    }

    /// Carries out what is due.
    fn tick(&mut self, now: Instant) {
        if self.lock_retry.is_some_and(|at| at <= now) {
            self.try_lock(now);
        }
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask_at = None;
            self.ask();
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            if let Some(etcd) = &self.etcd {
                tracing::warn!("etcd did not end in {STOP_PATIENCE:?}; it is killed");
                child::kill(etcd.pid, rustix::process::Signal::KILL.as_raw());
            }
        }
    }

    fn try_lock(&mut self, now: Instant) {
        let state = match VolumeLock::try_acquire(&self.config.root) {
            Ok(Some(lock)) => {
                self.lock = Some(lock);
                Lock::Held
            }
            Ok(None) => Lock::Taken,
            Err(error) => Lock::Failed { why: error.to_string() },
        };
        self.lock_retry = self.lock.is_none().then_some(now + LOCK_RETRY);
        if self.lock_state == state {
            return;
        }
        self.lock_state = state;
        match &self.lock_state {
            Lock::Held => {}
            Lock::Taken => tracing::info!("waiting for another process to leave the volume"),
            Lock::Failed { why } => tracing::warn!("waiting for the lock on the volume: {why}"),
        }
        if self.ask_at.is_none() {
            self.ask();
        }
    }

    fn ask(&self) {
        if self.etcd.is_none() && self.ending.is_none() {
            self.send(ToAgent::AskPlan {
                lock: self.lock_state.clone(),
            });
        }
    }

    /// Sends a message to the agent; without a connection it is dropped, and the next hello has what counts.
    fn send(&self, message: ToAgent) {
        if let Some(link) = &self.link {
            _ = link.send(message);
        }
    }

    async fn handle(&mut self, event: LinkEvent) -> Option<u8> {
        match event {
            LinkEvent::Connected(link) => {
                self.link = Some(link);
                self.greet();
            }
            LinkEvent::Lost => self.link = None,
            LinkEvent::Message(FromAgent::Start { plan, args, data_dir }) => {
                if self.etcd.is_some() || self.lock.is_none() || self.ending.is_some() {
                    tracing::warn!(plan, "a plan came while none was asked for; it is ignored");
                    return None;
                }
                self.ask_at = None;
                if let Err(error) = self.start(plan, args, data_dir.clone()) {
                    let sentence = format!("cannot run {}: {error}", self.config.etcd.display());
                    tracing::error!("{sentence}");
                    let kept = Kept {
                        first: None,
                        last: [sentence].into(),
                    };
                    return self.ended(plan, None, kept, &data_dir).await;
                }
            }
            LinkEvent::Message(FromAgent::Stop) => {
                self.ending = Some(Ending::Agent);
                let Some(etcd) = &self.etcd else { return Some(0) };
                child::kill(etcd.pid, SignalKind::terminate().as_raw_value());
                self.kill_at.get_or_insert(Instant::now() + STOP_PATIENCE);
            }
            LinkEvent::Message(FromAgent::Leaving) => self.leaving = self.etcd.is_some(),
            LinkEvent::Message(FromAgent::Noted { plan }) => {
                self.unreported.take_if(|exit| exit.plan == plan);
            }
            LinkEvent::Message(FromAgent::LeaveProgress { .. } | FromAgent::LeaveDone { .. }) => {}
        }
        None
    }

    fn greet(&self) {
        let state = match &self.etcd {
            Some(etcd) => Activity::Running {
                pid: etcd.pid.as_raw_pid() as u32,
                plan: etcd.plan,
            },
            None => Activity::Idle,
        };
        let lock = self.lock_state.clone();
        self.send(ToAgent::Hello {
            launch_id: self.launch_id,
            lock,
            state,
        });
        if let Some(exit) = &self.unreported {
            self.send(ToAgent::Exited(exit.clone()));
        }
        if self.ask_at.is_none() {
            self.ask();
        }
    }

    fn signal(&mut self, kind: SignalKind) -> Option<u8> {
        let ends = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()];
        let ends = ends.contains(&kind);
        match &self.etcd {
            Some(etcd) => {
                if ends {
                    self.ending.get_or_insert(Ending::Signal(kind.as_raw_value()));
                    // An etcd was seen to take two minutes to end. What it acknowledged is on its disk.
                    self.kill_at.get_or_insert(Instant::now() + STOP_PATIENCE);
                }
                child::kill(etcd.pid, kind.as_raw_value());
                None
            }
            None => ends.then_some(0),
        }
    }

    fn start(&mut self, plan: u64, args: Vec<String>, data_dir: PathBuf) -> io::Result<()> {
        let mut command = Command::new(&self.config.etcd);
        command.args(args).stdin(Stdio::null()).stderr(Stdio::piped());
        // The agent's arguments are all that counts: etcd would take settings from here too.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"ETCD_") {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let stderr = child.stderr.take().ok_or_else(|| io::Error::other("no stderr"))?;
        let tail = Tail::tee(stderr, io::stderr())?;
        self.etcd = Some(RunningEtcd {
            pid,
            plan,
            data_dir,
            since: Instant::now(),
            tail,
        });
        self.send(ToAgent::Started { pid: child.id(), plan });
        Ok(())
    }

    /// Collects children that ended; returns the status with which the launcher ends, if it does.
    async fn collect(&mut self) -> Option<u8> {
        let ended = child::reap(self.etcd.as_ref().map(|etcd| etcd.pid))?;
        let etcd = self.etcd.take()?;
        self.kill_at = None;
        if etcd.since.elapsed() >= LONG_RUN {
            self.backoff.reset();
        }
        let kept = etcd.tail.finish().await;
        self.ended(etcd.plan, Some(ended), kept, &etcd.data_dir).await
    }

    async fn ended(&mut self, plan: u64, ended: Option<Ended>, kept: Kept, data_dir: &Path) -> Option<u8> {
        // A directory that cannot be read is not known to be empty.
        let had_wal = wal::has_wal(data_dir).unwrap_or(true);
        let exit = Exit {
            plan,
            code: ended.and_then(Ended::code),
            signal: ended.and_then(Ended::signal),
            first_line: kept.first,
            stderr: kept.last.into(),
            had_wal,
        };
        self.send(ToAgent::Exited(exit.clone()));
        let left = self.leaving && exit.code == Some(0);
        self.leaving = false;
        self.unreported = Some(exit);
        if (had_wal && !left) || self.ending.is_some() {
            _ = timeout(REPORT_PATIENCE, self.report()).await;
            return Some(match (self.ending, ended) {
                (Some(Ending::Agent), _) => 0,
                // A clean stop: etcd sends itself the signal again at its end, unless it is
                // process 1, and ends with 0 if it is.
                (Some(Ending::Signal(sent)), Some(Ended::Signal(signal))) if sent == signal => 0,
                (_, ended) => ended.map_or(COMMAND_NOT_FOUND, Ended::status),
            });
        }
        self.ask_at = Some(Instant::now() + self.backoff.pause());
        None
    }

    /// Returns when the agent has taken note of the last exit.
    async fn report(&mut self) {
        while self.unreported.is_some() {
            match self.events.recv().await {
                Some(LinkEvent::Connected(link)) => {
                    self.link = Some(link);
                    self.greet();
                }
                Some(LinkEvent::Message(FromAgent::Noted { plan })) => {
                    self.unreported.take_if(|exit| exit.plan == plan);
                }
                Some(LinkEvent::Message(_)) => {}
                Some(LinkEvent::Lost) => self.link = None,
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
