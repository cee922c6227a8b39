//! A run: its kit, and what a failed case leaves behind.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;

use crate::cases::matrix::{Case, QUICK, cases, find};
use crate::cases::play::{Outcome, play};
use crate::cases::table::table;
use crate::cluster::Cluster;
use crate::cluster::templates::Templates;
use crate::fake_kubernetes::pod::{Programs, bring_programs};
use crate::stage::apart::{self, Part};

/// The number of networks, which cases use in turn.
const SLOTS: u8 = 199;

/// The plan of a run.
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    /// The cases' names, or beginnings of names; all cases if none is given.
    names: Vec<String>,
    /// Play only the cases that are quick enough for every change.
    #[arg(long)]
    quick: bool,
    /// pinned, newest-3.5, newest-3.6, mixed, or all of them one after the other.
    #[arg(long, default_value = "pinned")]
    etcd: String,
    /// The number of cases at a time; they mostly wait.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=50))]
    jobs: u8,
    /// Keep the logs of cases that pass, too.
    #[arg(long)]
    keep: bool,
}

/// Plays what is planned, inside a world apart.
pub(crate) fn run(plan: Plan) -> Result<ExitCode> {
    let chosen = choose(&plan)?;
    let names = match plan.etcd.as_str() {
        "all" => vec!["pinned", "newest-3.5", "newest-3.6", "mixed"],
        one => vec![one],
    };
    match Part::of_this_process() {
        Part::Outside => {
            // Inside there is no way to the sources of an etcd that is not built yet.
            for version in names.iter().flat_map(|name| versions(name)) {
                etcd_folder(version)?;
            }
            return apart::go_inside();
        }
        Part::First => return apart::bury_the_dead(),
        Part::Run => apart::furnish()?,
    }
    let kits = names
        .iter()
        .map(|name| Kit::pack(name, plan.keep))
        .collect::<Result<Vec<_>>>()?;
    apart::make_mount_points()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut passed, mut failed) = (0, 0);
    for kit in kits {
        println!("=== etcd {}: {} cases, {} at a time", kit.name, chosen.len(), plan.jobs);
        let kit = Rc::new(kit);
        let outcomes = tokio::task::LocalSet::new().block_on(&runtime, play_all(&kit, &chosen, plan.jobs))?;
        println!("\n{}", summary(&kit, &outcomes));
        let good = outcomes.iter().filter(|outcome| outcome.problems.is_empty()).count();
        passed += good;
        failed += outcomes.len() - good;
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn choose(plan: &Plan) -> Result<Vec<Case>> {
    if plan.quick {
        return Ok(QUICK.iter().filter_map(|name| find(name)).collect());
    }
    for name in &plan.names {
        let known = cases().any(|case| case.name().starts_with(name.as_str()));
        ensure!(known, "there is no case {name}; `muster-faults list` prints them");
    }
    let chosen = |case: &Case| plan.names.is_empty() || plan.names.iter().any(|name| fits(&case.name(), name));
    Ok(cases().filter(chosen).collect())
}

/// True if `name` is the case's, or its step's, or its step's and fault's beginning.
fn fits(case: &str, name: &str) -> bool {
    case == name
        || case
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['.', '-']) || name.ends_with('.'))
}

async fn play_all(kit: &Rc<Kit>, chosen: &[Case], jobs: u8) -> Result<Vec<Outcome>> {
    let start = Instant::now();
    let folder = Path::new(apart::ROOT).join(format!("templates-{}", kit.name));
    let templates = Templates::make(kit, &folder)
        .await
        .context("the clusters to begin with")?;
    println!("    the clusters to begin with: {:.1} s", start.elapsed().as_secs_f64());
    let queue = RefCell::new((1..=SLOTS).cycle().zip(chosen.iter().copied()));
    let outcomes = RefCell::new(vec![]);
    let workers = (0..jobs).map(async |_| {
        loop {
            let next = queue.borrow_mut().next();
            let Some((slot, case)) = next else { return };
            let outcome = play(kit, &templates, slot, case).await;
            print_outcome(&outcome);
            outcomes.borrow_mut().push(outcome);
        }
    });
    join_all(workers).await;
    std::fs::remove_dir_all(&folder)?;
    Ok(outcomes.into_inner())
}

fn print_outcome(outcome: &Outcome) {
    println!(
        "{} {:32} {:5.1} s; at rest {:4.1} s after the fault; {:4} writes, longest gap {:.1} s",
        if outcome.problems.is_empty() { '✓' } else { '✗' },
        outcome.case.name(),
        outcome.took.as_secs_f64(),
        outcome.healed.as_secs_f64(),
        outcome.writes.acknowledged,
        outcome.writes.longest_gap.as_secs_f64(),
    );
    for problem in &outcome.problems {
        println!("    {problem}");
    }
}

fn summary(kit: &Kit, outcomes: &[Outcome]) -> String {
    let mut text = format!("etcd {}\n\n{}", kit.name, table(outcomes));
    let writes: usize = outcomes.iter().map(|outcome| outcome.writes.acknowledged).sum();
    let lost: u64 = outcomes.iter().map(|outcome| outcome.writes.failed).sum();
    text += &format!("\n{writes} writes were acknowledged and read back; {lost} had no answer.\n");
    for outcome in outcomes.iter().filter(|outcome| !outcome.problems.is_empty()) {
        text += &format!("✗ {}: {}\n", outcome.case.name(), outcome.problems.join("; "));
    }
    text
}

/// The kit that all cases share.
pub(crate) struct Kit {
    /// The name of its etcd versions.
    pub(crate) name: String,
    /// The programs in the pods.
    pub(crate) programs: Programs,
    /// True to keep the logs of every case.
    pub(crate) keep: bool,
    etcds: Vec<PathBuf>,
    evidence: PathBuf,
}

/// The root of the repository, from where this program was built.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The etcd versions that a name stands for.
fn versions(name: &str) -> &[&str] {
    match name {
        "mixed" => &["newest-3.5", "newest-3.6"],
        "pinned" => &["pinned"],
        "newest-3.5" => &["newest-3.5"],
        "newest-3.6" => &["newest-3.6"],
        _ => &[],
    }
}

impl Kit {
    /// The programs of this build, and etcd as `name` says.
    pub(crate) fn pack(name: &str, keep: bool) -> Result<Self> {
        let names = versions(name);
        ensure!(
            !names.is_empty(),
            "etcd is one of pinned, newest-3.5, newest-3.6 and mixed, not {name}"
        );
        let agent = std::env::current_exe()?.with_file_name("muster-agent");
        let programs = bring_programs(&agent).context("build it first: cargo build -p muster-agent")?;
        let etcds = names.iter().map(|name| bring_etcd(name)).collect::<Result<_>>()?;
        Ok(Self {
            name: name.to_owned(),
            programs,
            keep,
            etcds,
            evidence: repository().join("out/faults"),
        })
    }

    /// The etcd of a seat; seats take turns with versions.
    pub(crate) fn etcd_of(&self, seat: u32) -> PathBuf {
        self.etcds[seat as usize % self.etcds.len()].clone()
    }
}

fn bring_etcd(name: &str) -> Result<PathBuf> {
    let folder = etcd_folder(name)?;
    apart::bring(&folder.join("etcd"), &format!("etcd-{name}"))
}

/// The folder of the etcd of this name; it is built if need be.
fn etcd_folder(name: &str) -> Result<PathBuf> {
    let testbed = repository().join("tests/testbed/testbed");
    let versions = ask(&testbed, &["versions"])?;
    let version = versions
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .with_context(|| format!("the test bed knows no {name}"))?;
    Ok(ask(&testbed, &["etcd-dir", version])?.trim().into())
}

fn ask(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| program.display().to_string())?;
    ensure!(output.status.success(), "{} {arguments:?} failed", program.display());
    Ok(String::from_utf8(output.stdout)?)
}

/// Copies a case's logs to where they outlive the run.
pub(crate) fn keep_evidence(cluster: &Cluster, name: &str, problems: &[String]) -> Result<PathBuf> {
    let folder = cluster.kit.evidence.join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    for entry in std::fs::read_dir(&cluster.folder)?.flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    let objects = serde_json::json!([
        cluster.objects.stateful_set(),
        cluster.objects.birth(),
        cluster.objects.etcd_cluster(),
        cluster.objects.endpoint_slices(),
    ]);
    std::fs::write(folder.join("objects.json"), serde_json::to_string_pretty(&objects)?)?;
    std::fs::write(folder.join("problems.txt"), problems.join("\n"))?;
    Ok(folder)
}
