//! A run: its kit, and what a failed case leaves behind.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cluster::Cluster;
use crate::stage::apart;
use crate::stand_in::pod::{Programs, bring_programs};

/// What all cases share.
pub(crate) struct Kit {
    /// The programs in the pods.
    pub(crate) programs: Programs,
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
    pub(crate) fn pack(name: &str) -> Result<Self> {
        let names = versions(name);
        ensure!(
            !names.is_empty(),
            "etcd is one of pinned, newest-3.5, newest-3.6 and mixed, not {name}"
        );
        let agent = std::env::current_exe()?.with_file_name("muster-agent");
        let programs = bring_programs(&agent).context("build it first: cargo build -p muster-agent")?;
        let etcds = names.iter().map(|name| bring_etcd(name)).collect::<Result<_>>()?;
        apart::make_mount_points()?;
        Ok(Self {
            programs,
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
    let testbed = repository().join("tests/testbed/testbed");
    let versions = ask(&testbed, &["versions"])?;
    let version = versions
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .with_context(|| format!("the test bed knows no {name}"))?;
    let folder = ask(&testbed, &["etcd-dir", version])?;
    apart::bring(&Path::new(folder.trim()).join("etcd"), &format!("etcd-{version}"))
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
