//! Processes of the bed's nodes, which are this machine's: for what must be
//! stopped within milliseconds.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::until_every;

/// A process of a pod.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// Its process ID on this machine.
    pub(crate) pid: i32,
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<String>,
}

impl Process {
    /// Its folder below /proc.
    pub(crate) fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.pid))
    }

    /// True if it has this environment variable with this value.
    pub(crate) fn has(&self, variable: &str, value: &str) -> bool {
        self.environment
            .iter()
            .any(|one| one.split_once('=') == Some((variable, value)))
    }

    /// True if it is the agent of a pod in this namespace.
    pub(crate) fn is_agent_in(&self, namespace: &str) -> bool {
        self.plays("serve", namespace)
    }

    /// True if it is the agent's worker, the child that does the work, of a pod in this namespace.
    pub(crate) fn is_agent_worker_in(&self, namespace: &str) -> bool {
        self.plays("serve-worker", namespace)
    }

    fn plays(&self, part: &str, namespace: &str) -> bool {
        let plays = self.command.get(1).is_some_and(|word| word == part);
        self.command[0].ends_with("muster-agent") && plays && self.has("POD_NAMESPACE", namespace)
    }

    /// True if it is etcd itself, of this seat in this namespace. Settings may
    /// come as flags or as environment variables.
    pub(crate) fn is_etcd_of(&self, namespace: &str, seat: &str) -> bool {
        let domain = format!(".{namespace}.svc.");
        let mut settings = self.command.iter().skip(1).chain(&self.environment);
        self.command[0].ends_with("etcd") && self.has("HOSTNAME", seat) && settings.any(|one| one.contains(&domain))
    }

    /// Sends it a signal; one that has ended does not mind.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid).context("a process without an ID")?;
        match kill_process(pid, signal) {
            Err(error) if error != rustix::io::Errno::SRCH => Err(error).with_context(|| format!("process {pid:?}")),
            _ => Ok(()),
        }
    }
}

/// The processes that fit.
pub(crate) fn find(fits: impl Fn(&Process) -> bool) -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let folder = entry?.path();
        let Some(pid) = folder.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        // Processes end while we look.
        let Some(command) = words(folder.join("cmdline")).filter(|command| !command.is_empty()) else {
            continue;
        };
        let Some(environment) = words(folder.join("environ")) else {
            continue;
        };
        let process = Process {
            pid,
            command,
            environment,
        };
        if fits(&process) {
            found.push(process);
        }
    }
    Ok(found)
}

/// Waits for the process to appear, at a resolution of milliseconds.
pub(crate) async fn appears(what: &str, limit: Duration, fits: impl Fn(&Process) -> bool) -> Result<Process> {
    until_every(what, limit, Duration::from_millis(3), async || {
        find(&fits)?.pop().context("it does not run")
    })
    .await
}

fn words(path: PathBuf) -> Option<Vec<String>> {
    let text = fs::read(path).ok()?;
    let words = text.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}
