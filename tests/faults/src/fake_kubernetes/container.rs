//! A container: a process in namespaces of its own, started again when it ends.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::{broadcast, watch};

use crate::stage::processes::{Process, descendants, ended, signal_to};

/// The pause before it is started again; the kubelet's is longer.
const PAUSE: Duration = Duration::from_millis(300);

/// The script that mounts what the container sees: its own processes, names, volume, and the folder of the pod.
const SETUP: &str = "set -e
mount -t proc proc /proc
mount --bind \"$POD_FOLDER/resolv.conf\" /etc/resolv.conf
mount --bind \"$POD_VOLUME\" /var/lib/etcd
mount --bind \"$POD_FOLDER/run\" /run/muster
exec \"$@\"";

/// The description of a container, enough to start it.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// The name in logs: `c-0/agent`.
    pub(crate) name: String,
    /// The pod's network namespace.
    pub(crate) netns: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) volume: PathBuf,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Its whole environment.
    pub(crate) environment: Vec<(String, String)>,
    /// The file for its output.
    pub(crate) log: PathBuf,
}

/// A line that a container wrote.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) container: String,
    /// The text of the line.
    pub(crate) text: String,
}

/// A container that runs.
#[derive(Debug)]
pub(crate) struct Container {
    /// The outermost process of the present run.
    outer: Cell<Option<i32>>,
    /// True if it is not started again.
    last: Cell<bool>,
    ended: watch::Sender<bool>,
    image: RefCell<Image>,
}

impl Container {
    pub(crate) fn start(image: Image, lines: broadcast::Sender<Line>) -> Rc<Self> {
        let container = Rc::new(Self {
            outer: Cell::new(None),
            last: Cell::new(false),
            ended: watch::Sender::new(false),
            image: RefCell::new(image),
        });
        let this = container.clone();
        tokio::task::spawn_local(async move {
            while !this.last.get() {
                if let Err(error) = this.run_once(&lines).await {
                    eprintln!("{}: {error:#}", this.image.borrow().name);
                }
                this.outer.set(None);
                if !this.last.get() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            this.ended.send_replace(true);
        });
        container
    }

    async fn run_once(&self, lines: &broadcast::Sender<Line>) -> Result<()> {
        let image = self.image.borrow().clone();
        let mut child = Command::new("nsenter")
            .arg(format!("--net={}", image.netns.display()))
            .args(["--", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"])
            .args(["--propagation", "private", "--", "sh", "-c", SETUP, "sh"])
            .args(&image.command)
            .env_clear()
            .envs(image.environment.iter().cloned())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("POD_FOLDER", &image.folder)
            .env("POD_VOLUME", &image.volume)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        self.outer.set(child.id().and_then(|id| id.try_into().ok()));
        let mut log = tokio::fs::File::options()
            .create(true)
            .append(true)
            .open(&image.log)
            .await?;
        if let Some(stderr) = child.stderr.take() {
            let mut output = BufReader::new(stderr).lines();
            while let Ok(Some(text)) = output.next_line().await {
                log.write_all(format!("{text}\n").as_bytes()).await?;
                // Nobody may be listening.
                _ = lines.send(Line {
                    container: image.name.clone(),
                    text,
                });
            }
        }
        let status = child.wait().await?;
        log.write_all(format!("--- the container ended: {status}\n").as_bytes())
            .await?;
        log.flush().await?;
        Ok(())
    }

    /// The processes in it; the first is its process 1.
    pub(crate) fn processes(&self) -> Vec<Process> {
        self.outer.get().map(descendants).unwrap_or_default()
    }

    /// Kills it; it is started again unless it was the last time.
    pub(crate) fn kill(&self) {
        if let Some(outer) = self.outer.get() {
            signal_to(outer, Signal::KILL);
        }
    }

    /// Kills it, and returns when none of its processes is left.
    pub(crate) async fn kill_now(&self) -> Result<()> {
        let processes = self.processes();
        self.kill();
        ended(&processes).await
    }

    /// Sends a signal to its process 1.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(first) = self.processes().first() {
            first.signal(signal);
        }
    }

    /// Prevents further starts.
    pub(crate) fn no_more_starts(&self) {
        self.last.set(true);
    }

    /// Returns when it has ended for good.
    pub(crate) async fn ended(&self) {
        _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Runs a program beside its process 1.
    pub(crate) fn beside(&self, program: &Path, argument: &str) -> Option<Command> {
        let first = self.processes().first()?.0;
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={first}"))
            .args(["--mount", "--net", "--pid", "--"])
            .arg(program)
            .arg(argument)
            .env_clear()
            .envs(self.image.borrow().environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        Some(command)
    }
}
