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

use super::link::{Event, keep_connected};
use crate::child::{self, Ended, Tail};
use crate::socket::protocol::{Activity, Exit, FromAgent, LaunchId, Lock, SOCKET, ToAgent};
use crate::volume::{DEFAULT_ROOT, VolumeLock, wal};

/// Names another etcd than the image's.
pub const ETCD_BINARY: &str = "MUSTER_ETCD_BINARY";

const LOCK_RETRY: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// An etcd that ran this long did not fail at once.
const LONG_RUN: Duration = Duration::from_secs(10);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const REPORT_PATIENCE: Duration = Duration::from_secs(1);
const COMMAND_NOT_FOUND: u8 = 127;

/// Where things are in etcd's container.
#[derive(Debug, Clone)]
pub struct LaunchConfig {
    /// The agent's socket.
    pub socket: PathBuf,
    /// The root of the volume.
    pub root: PathBuf,
    /// etcd's executable; without a slash, it is looked for in `PATH`.
    pub etcd: PathBuf,
}

impl LaunchConfig {
    /// The places in the pod, with the etcd that the environment names.
    pub fn from_env() -> Self {
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
pub async fn launch(config: LaunchConfig) -> io::Result<u8> {
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

/// [`launch`], with the signals from wherever they come.
pub(super) async fn run(
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
        pause: FIRST_PAUSE,
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
    events: mpsc::Receiver<Event>,
    etcd: Option<Etcd>,
    /// The last exit, until the agent has taken note of it.
    unreported: Option<Exit>,
    /// When a plan is to be asked for; none while etcd runs, and once it was asked for.
    ask_at: Option<Instant>,
    pause: Duration,
    /// The agent is about to remove this etcd's member.
    leaving: bool,
    /// etcd was told to end: when it has, so do we.
    ending: Option<Ending>,
    kill_at: Option<Instant>,
}

/// Who wanted the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Whoever sent this signal: the kubelet, as a rule.
    Signal(i32),
    /// The agent: however etcd ends then, it is no failure.
    Agent,
}

struct Etcd {
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

    /// Does what is due.
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
            self.tell(ToAgent::AskPlan {
                lock: self.lock_state.clone(),
            });
        }
    }

    /// Without a connection nothing is told: the next hello says it all.
    fn tell(&self, message: ToAgent) {
        if let Some(link) = &self.link {
            _ = link.send(message);
        }
    }

    async fn handle(&mut self, event: Event) -> Option<u8> {
        match event {
            Event::Connected(link) => {
                self.link = Some(link);
                self.greet();
            }
            Event::Lost => self.link = None,
            Event::Message(FromAgent::Start { plan, args, data_dir }) => {
                if self.etcd.is_some() || self.lock.is_none() || self.ending.is_some() {
                    tracing::warn!(plan, "a plan came while none was asked for; it is ignored");
                    return None;
                }
                self.ask_at = None;
                if let Err(error) = self.start(plan, args, data_dir.clone()) {
                    let sentence = format!("cannot run {}: {error}", self.config.etcd.display());
                    tracing::error!("{sentence}");
                    return self.ended(plan, None, vec![sentence], &data_dir).await;
                }
            }
            Event::Message(FromAgent::Stop) => {
                self.ending = Some(Ending::Agent);
                let Some(etcd) = &self.etcd else { return Some(0) };
                child::kill(etcd.pid, SignalKind::terminate().as_raw_value());
                self.kill_at.get_or_insert(Instant::now() + STOP_PATIENCE);
            }
            Event::Message(FromAgent::Leaving) => self.leaving = self.etcd.is_some(),
            Event::Message(FromAgent::Noted { plan }) => {
                self.unreported.take_if(|exit| exit.plan == plan);
            }
            Event::Message(FromAgent::LeaveProgress { .. } | FromAgent::LeaveDone { .. }) => {}
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
        self.tell(ToAgent::Hello {
            launch_id: self.launch_id,
            lock,
            state,
        });
        if let Some(exit) = &self.unreported {
            self.tell(ToAgent::Exited(exit.clone()));
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
                    // An etcd was seen to take two minutes for its end. What it promised is on its disk.
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
        self.etcd = Some(Etcd {
            pid,
            plan,
            data_dir,
            since: Instant::now(),
            tail,
        });
        self.tell(ToAgent::Started { pid: child.id(), plan });
        Ok(())
    }

    /// Looks who has ended, and says with which status the launcher ends, if it does.
    async fn collect(&mut self) -> Option<u8> {
        let ended = child::reap(self.etcd.as_ref().map(|etcd| etcd.pid))?;
        let etcd = self.etcd.take()?;
        self.kill_at = None;
        if etcd.since.elapsed() >= LONG_RUN {
            self.pause = FIRST_PAUSE;
        }
        let stderr = etcd.tail.finish().await;
        self.ended(etcd.plan, Some(ended), stderr, &etcd.data_dir).await
    }

    async fn ended(&mut self, plan: u64, ended: Option<Ended>, stderr: Vec<String>, data_dir: &Path) -> Option<u8> {
        // A directory that cannot be read is not known to be empty.
        let had_wal = wal::has_wal(data_dir).unwrap_or(true);
        let exit = Exit {
            plan,
            code: ended.and_then(Ended::code),
            signal: ended.and_then(Ended::signal),
            stderr,
            had_wal,
        };
        self.tell(ToAgent::Exited(exit.clone()));
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
        self.ask_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        None
    }

    /// Returns when the agent has taken note of the last exit.
    async fn report(&mut self) {
        while self.unreported.is_some() {
            match self.events.recv().await {
                Some(Event::Connected(link)) => {
                    self.link = Some(link);
                    self.greet();
                }
                Some(Event::Message(FromAgent::Noted { plan })) => {
                    self.unreported.take_if(|exit| exit.plan == plan);
                }
                Some(Event::Message(_)) => {}
                Some(Event::Lost) => self.link = None,
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
