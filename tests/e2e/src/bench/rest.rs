//! The cost of a cluster at rest: memory, CPU, API requests.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::procs::{self, Process};
use crate::wait::secs;
use crate::world::{OPERATOR, SYSTEM};

/// Clock ticks in a second, as the kernel reports CPU time to programs.
const TICKS: f64 = 100.0;

/// The cost of a cluster at rest.
#[derive(Debug, Clone, Default)]
pub(super) struct Rest {
    /// Resident memory of each agent, its parent process included, MiB.
    pub(super) agent_mib: Vec<f64>,
    /// CPU of each agent, in thousandths of a core.
    pub(super) agent_millicores: Vec<f64>,
    /// Resident memory of the operator, MiB.
    pub(super) operator_mib: f64,
    /// CPU of the operator, in thousandths of a core.
    pub(super) operator_millicores: f64,
    /// API requests of one agent in a minute, on average.
    pub(super) agent_requests: f64,
    /// API requests of the operator in a minute.
    pub(super) operator_requests: f64,
    /// The number of requests, by kind.
    pub(super) requests: BTreeMap<String, usize>,
}

/// Watches a cluster at rest.
pub(super) async fn watch(cluster: &Cluster<'_>, span: Duration) -> Result<Rest> {
    let cx = cluster.cx;
    cx.step("settling");
    tokio::time::sleep(secs(15)).await;
    let mut agents = BTreeMap::new();
    for pod in cluster.pods().await?.into_keys() {
        let both = begin(|process| {
            let ours = process.is_agent_in(&cx.namespace) || process.is_agent_worker_in(&cx.namespace);
            ours && process.has("POD_NAME", &pod)
        })?;
        ensure!(
            both.len() == 2,
            "{pod} has {} processes of an agent, not two",
            both.len()
        );
        agents.insert(pod, both);
    }
    let host = format!("{OPERATOR}-");
    let operator = begin(|process| {
        let here = process.environment.iter().any(|one| {
            one.strip_prefix("HOSTNAME=")
                .is_some_and(|name| name.starts_with(&host))
        });
        here && process.command[0].ends_with("muster-operator")
    })?;
    let log = cx.world.bed.call(&["log", "audit"]).await?;
    let offset = fs::metadata(&log).with_context(|| log.clone())?.len();
    cx.step(format!(
        "{} agents at rest for {:.0} s",
        agents.len(),
        span.as_secs_f64()
    ));
    tokio::time::sleep(span).await;
    let mut rest = Rest::default();
    for both in agents.values() {
        let (mib, millicores) = cost(both, span)?;
        rest.agent_mib.push(mib);
        rest.agent_millicores.push(millicores);
    }
    (rest.operator_mib, rest.operator_millicores) = cost(&operator, span)?;
    rest.count_requests(&added(Path::new(&log), offset)?, &cx.namespace, span, agents.len());
    Ok(rest)
}

impl Rest {
    /// Counts the requests in these lines of the audit log, written during `span`.
    fn count_requests(&mut self, log: &str, namespace: &str, span: Duration, agents: usize) {
        let minutes = span.as_secs_f64() / 60.0;
        let agent = format!("system:serviceaccount:{namespace}:");
        let operator = format!("system:serviceaccount:{SYSTEM}:");
        for line in log.lines() {
            let Ok(entry) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let user = entry["user"]["username"].as_str().unwrap_or_default();
            let who = match user {
                _ if user.starts_with(&agent) => "agent",
                _ if user.starts_with(&operator) => "operator",
                _ => continue,
            };
            // A watch is written down when it begins and when it ends.
            if entry["verb"] == "watch" && entry["stage"] == "ResponseStarted" {
                continue;
            }
            let what = format!(
                "{who} {} {}",
                entry["verb"].as_str().unwrap_or("?"),
                entry["objectRef"]["resource"].as_str().unwrap_or("?")
            );
            *self.requests.entry(what).or_default() += 1;
            match who {
                "agent" => self.agent_requests += 1.0 / minutes / agents as f64,
                _ => self.operator_requests += 1.0 / minutes,
            }
        }
    }
}

/// A process, and the time it has used so far.
struct Meter {
    folder: PathBuf,
    ticks: u64,
}

/// Begins to measure the processes that fit.
fn begin(fits: impl Fn(&Process) -> bool) -> Result<Vec<Meter>> {
    let meter = |process: Process| {
        Ok(Meter {
            ticks: ticks(&process.folder())?,
            folder: process.folder(),
        })
    };
    procs::find(fits)?.into_iter().map(meter).collect()
}

/// The cost of these processes together: MiB, and thousandths of a core.
fn cost(processes: &[Meter], span: Duration) -> Result<(f64, f64)> {
    let (mut mib, mut millicores) = (0.0, 0.0);
    for process in processes {
        mib += process.mib()?;
        millicores += process.millicores(span)?;
    }
    Ok((mib, millicores))
}

impl Meter {
    fn mib(&self) -> Result<f64> {
        let status = fs::read_to_string(self.folder.join("status"))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .context("no VmRSS")?;
        let kib: f64 = line
            .split_whitespace()
            .nth(1)
            .context("VmRSS without a number")?
            .parse()?;
        Ok(kib / 1024.0)
    }

    fn millicores(&self, span: Duration) -> Result<f64> {
        Ok((ticks(&self.folder)? - self.ticks) as f64 / TICKS / span.as_secs_f64() * 1000.0)
    }
}

/// User and system time.
fn ticks(folder: &Path) -> Result<u64> {
    let stat = fs::read_to_string(folder.join("stat"))?;
    // The name, in parentheses, may contain spaces.
    let rest = stat.rsplit_once(')').context("stat without a name")?.1;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let field = |index: usize| -> Result<u64> { Ok(fields.get(index).context("a short stat")?.parse()?) };
    Ok(field(11)? + field(12)?)
}

/// The text that was added to a file since it had this length.
fn added(path: &Path, offset: u64) -> Result<String> {
    let mut file = fs::File::open(path)?;
    let rotated = file.metadata()?.len() < offset;
    file.seek(SeekFrom::Start(if rotated { 0 } else { offset }))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
