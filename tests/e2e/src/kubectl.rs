//! The real kubectl: what a user types is what the scenarios run.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::wait::secs;

/// The timeout of one command: longer than any scenario's own `--timeout`,
/// so that a command that waits for ever is named instead of the scenario.
const LIMIT: Duration = secs(240);

/// kubectl, in one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    namespace: String,
}

impl Kubectl {
    /// kubectl that works in `namespace`.
    pub(crate) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
        }
    }

    /// Runs kubectl; its error output becomes the error.
    pub(crate) async fn run(&self, args: &[&str]) -> Result<String> {
        self.call(args, None).await
    }

    /// Runs kubectl with the words of a line as its arguments.
    pub(crate) async fn run_line(&self, line: &str) -> Result<String> {
        let args: Vec<_> = line.split_whitespace().collect();
        self.call(&args, None).await
    }

    /// Runs a line as `run_line` does; a resource that this cluster lacks is no error.
    pub(crate) async fn run_if_known(&self, line: &str) -> Result<()> {
        match self.run_line(line).await {
            Err(error) if !format!("{error:#}").contains("doesn't have a resource type") => Err(error),
            _ => Ok(()),
        }
    }

    /// `kubectl apply -f -`.
    pub(crate) async fn apply(&self, manifest: &Value) -> Result<String> {
        self.call(&["apply", "-f", "-"], Some(manifest.to_string())).await
    }

    /// Runs a command that must be refused; returns kubectl's message.
    pub(crate) async fn refused(&self, args: &[&str], manifest: Option<&Value>) -> Result<String> {
        match self.call(args, manifest.map(Value::to_string)).await {
            Ok(out) => bail!("kubectl {} was accepted: {out}", args.join(" ")),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// An object as JSON, `None` when it does not exist.
    pub(crate) async fn get(&self, object: &str) -> Result<Option<Value>> {
        let out = self.run(&["get", object, "--ignore-not-found", "-o", "json"]).await?;
        if out.is_empty() {
            Ok(None)
        } else {
            Ok(Some(serde_json::from_str(&out)?))
        }
    }

    async fn call(&self, args: &[&str], stdin: Option<String>) -> Result<String> {
        let line = args.join(" ");
        let mut child = Command::new("kubectl")
            .arg("--namespace")
            .arg(&self.namespace)
            .args(args)
            .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("kubectl")?;
        if let Some(text) = stdin {
            let mut pipe = child
                .stdin
                .take()
                .ok_or_else(|| anyhow!("kubectl has no standard input"))?;
            pipe.write_all(text.as_bytes()).await?;
        }
        let output = tokio::time::timeout(LIMIT, child.wait_with_output())
            .await
            .with_context(|| format!("kubectl {line}: not done after {:.0} s", LIMIT.as_secs_f64()))??;
        if !output.status.success() {
            bail!("kubectl {line}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
