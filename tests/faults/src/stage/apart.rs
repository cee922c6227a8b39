//! A world apart: the run has namespaces of its own for network, mounts and processes.
//!
//! Nothing in here is seen from outside, and when the run ends, however it ends, the
//! kernel ends every process in it and removes what it made: there are no leftovers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, WaitOptions, waitpid};

/// The folder of the run's files, in memory, seen by nobody else.
pub(crate) const ROOT: &str = "/run/faults";

/// The environment variable that tells a process that it is inside.
const INSIDE: &str = "MUSTER_FAULTS_INSIDE";

/// The processes of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The one that was started: it goes inside.
    Outside,
    /// Process 1 inside: it buries the dead, and starts the run.
    First,
    /// The run.
    Run,
}

impl Part {
    /// The part that this process has.
    pub(crate) fn of_this_process() -> Self {
        match std::env::var_os(INSIDE) {
            None => Self::Outside,
            Some(_) if std::process::id() == 1 => Self::First,
            Some(_) => Self::Run,
        }
    }
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

/// Starts the run beside this process, and takes leave of every process whose parent is gone: one that nobody
/// takes leave of keeps its pod's process 1 from ending.
pub(crate) fn bury_the_dead() -> Result<ExitCode> {
    let run = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .spawn()?;
    let run = Pid::from_child(&run);
    loop {
        match waitpid(None, WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == run => {
                let code = status.exit_status().and_then(|code| u8::try_from(code).ok());
                return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Furnishes the inside. The programs are copied, so that a build meanwhile changes nothing.
pub(crate) fn furnish() -> Result<()> {
    ensure!(
        Part::of_this_process() == Part::Run,
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
