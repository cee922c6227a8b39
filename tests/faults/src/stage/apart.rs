//! A world apart: the run has namespaces of its own for network, mounts and processes.
//!
//! Nothing in here is seen from outside, and when the run ends, however it ends, the
//! kernel ends every process in it and removes what it made: there are no leftovers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::mount::{MountFlags, mount};

/// Where the run keeps its files, in memory, seen by nobody else.
pub(crate) const ROOT: &str = "/run/faults";

/// Set for the run inside.
const INSIDE: &str = "MUSTER_FAULTS_INSIDE";

/// Whether this process is the one inside.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this very command again, inside; its exit code is ours.
pub(crate) fn go_inside() -> Result<ExitCode> {
    ensure!(rustix::process::geteuid().is_root(), "network namespaces need root");
    // Should this process die, so does the first one inside, and with it all of them.
    let status = Command::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "--",
            "unshare",
            "--net",
            "--mount",
            "--pid",
            "--fork",
        ])
        .args(["--kill-child=KILL", "--propagation", "private", "--mount-proc", "--"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()
        .context("setpriv and unshare (Debian: util-linux)")?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Furnishes the inside. The programs are copied, so that a build meanwhile changes nothing.
pub(crate) fn furnish() -> Result<()> {
    ensure!(
        is_inside() && std::process::id() == 1,
        "this runs inside its own namespaces only"
    );
    mount_memory(Path::new("/run"))?;
    fs::create_dir_all(ROOT)?;
    command("ip", &["link", "set", "lo", "up"])
}

/// Copies a program inside; returns where it is.
pub(crate) fn bring(program: &Path, name: &str) -> Result<PathBuf> {
    let bin = Path::new(ROOT).join("bin");
    fs::create_dir_all(&bin)?;
    let target = bin.join(name);
    fs::copy(program, &target).with_context(|| format!("copying {}", program.display()))?;
    Ok(target)
}

/// A place to mount the volume on, in every container.
pub(crate) fn make_mount_points() -> Result<()> {
    mount_memory(Path::new("/var/lib"))?;
    fs::create_dir_all("/var/lib/etcd")?;
    fs::create_dir_all("/run/muster")?;
    Ok(())
}

fn mount_memory(at: &Path) -> Result<()> {
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), None).with_context(|| format!("mounting on {}", at.display()))
}

/// Runs a command to its end.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| program.to_owned())?;
    if !output.status.success() {
        bail!(
            "{program} {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
