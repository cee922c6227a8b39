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
        let left: Vec<_> = processes.iter().filter_map(|process| state(process.0)).collect();
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
        .filter_map(|pid| Some((pid, parent(pid)?)))
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

/// The parent of a process that is no zombie.
fn parent(pid: i32) -> Option<i32> {
    let state = state(pid)?;
    // The name in parentheses may hold anything.
    state.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Number, name, state and parent of a process that is no zombie, as the kernel writes them.
fn state(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let (state, parent) = (fields.next()?, fields.next()?);
    (state != "Z").then(|| format!("{name}) {state} {parent}"))
}
