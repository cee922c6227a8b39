//! Processes inside: found by descent, ended by their own IDs.

use std::fs;

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{secs, until};

/// A process, by its ID.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) i32);

impl Process {
    /// Sends it a signal; one that has ended does not mind.
    pub(crate) fn signal(&self, signal: Signal) {
        signal_to(self.0, signal);
    }

    /// Kills it, and returns when it has ended.
    pub(crate) async fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL);
        ended(&[*self]).await
    }
}

/// Returns when all of these have ended. One that waits for a busy disk does not end before it has its answer.
pub(crate) async fn ended(processes: &[Process]) -> Result<()> {
    until("killed processes to end", secs(60), async || {
        let left = processes.iter().filter_map(|process| stat(process.0));
        let left: Vec<_> = left
            .map(|stat| format!("{} is in state {}", stat.name, stat.state))
            .collect();
        ensure!(left.is_empty(), "{}", left.join("; "));
        Ok(())
    })
    .await
}

/// Sends a signal; a process that has ended does not mind.
pub(crate) fn signal_to(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        _ = kill_process(pid, signal);
    }
}

/// The processes that descend from `ancestor`, children before grandchildren.
pub(crate) fn descendants(ancestor: i32) -> Vec<Process> {
    let all: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.parent)))
        .collect();
    let mut found: Vec<i32> = vec![];
    let mut next = vec![ancestor];
    while let Some(one) = next.pop() {
        for (pid, _) in all.iter().filter(|(_, parent)| *parent == one) {
            found.push(*pid);
            next.insert(0, *pid);
        }
    }
    found.into_iter().map(Process).collect()
}

/// A process that is no zombie.
struct Stat {
    /// Its number and name, as the kernel writes them.
    name: String,
    /// A letter.
    state: String,
    parent: i32,
}

fn stat(pid: i32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let (name, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    (state != "Z").then(|| Stat {
        name: format!("{name})"),
        state: state.to_owned(),
        parent,
    })
}
