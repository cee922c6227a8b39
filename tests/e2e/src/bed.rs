//! The test bed: the commands of `tests/testbed/testbed`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// The environment variable of the process that runs inside the bed's network.
const INSIDE: &str = "MUSTER_E2E_INSIDE";

/// The test bed of this work tree.
#[derive(Debug, Clone)]
pub(crate) struct Bed {
    root: PathBuf,
}

impl Bed {
    /// Finds the work tree above the current directory or the program.
    pub(crate) fn find() -> Result<Self> {
        let starts = [std::env::current_dir().ok(), std::env::current_exe().ok()];
        starts
            .iter()
            .flatten()
            .flat_map(|start| start.ancestors())
            .find(|folder| folder.join("tests/testbed/testbed").is_file())
            .map(|root| Self { root: root.to_owned() })
            .context("tests/testbed/testbed was not found above the current directory; run from the work tree")
    }

    /// The top of the work tree.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// True if this process already runs inside the bed's network.
    pub(crate) fn inside() -> bool {
        std::env::var_os(INSIDE).is_some()
    }

    /// Runs this program again, with the same arguments, inside the bed's network.
    pub(crate) async fn enter(&self) -> Result<i32> {
        let program = std::env::current_exe().context("the path of this program")?;
        let status = Command::new(self.program())
            .arg("exec")
            .arg("--")
            .arg("env")
            .arg(format!("{INSIDE}=1"))
            .arg(program)
            .args(std::env::args_os().skip(1))
            .current_dir(&self.root)
            .status()
            .await
            .context("tests/testbed/testbed exec")?;
        Ok(status.code().unwrap_or(2))
    }

    /// Runs a command of the bed and returns what it printed.
    pub(crate) async fn call(&self, args: &[&str]) -> Result<String> {
        let line = args.join(" ");
        let output = Command::new(self.program())
            .args(args)
            .current_dir(&self.root)
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("testbed {line}"))?;
        let out = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() {
            let err = String::from_utf8_lossy(&output.stderr);
            bail!("testbed {line}: {}\n{}{out}", output.status, err.trim());
        }
        Ok(out)
    }

    /// Runs a fault command.
    pub(crate) async fn fault(&self, args: &[&str]) -> Result<String> {
        let mut all = vec!["fault"];
        all.extend_from_slice(args);
        self.call(&all).await
    }

    fn program(&self) -> PathBuf {
        self.root.join("tests/testbed/testbed")
    }
}
