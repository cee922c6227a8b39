//! Evidence of a failed scenario, in a folder of its own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::agent;
use crate::ctx::Ctx;
use crate::kubectl::Kubectl;
use crate::pods::PodView;
use crate::sampler;
use crate::world::{OPERATOR, SYSTEM};

/// The timeout of all of it: what fails may fail slowly.
const LIMIT: Duration = Duration::from_secs(120);

/// The questions to kubectl, each with the file for the answer.
const QUESTIONS: [(&str, &str); 8] = [
    ("events.txt", "get events --sort-by=.lastTimestamp"),
    (
        "overview.txt",
        "get etcdclusters.etcd.etcd.io,statefulsets,pods,persistentvolumeclaims -o wide",
    ),
    ("etcdclusters.yaml", "get etcdclusters.etcd.etcd.io -o yaml"),
    (
        "objects.yaml",
        "get statefulsets,configmaps,services,poddisruptionbudgets,roles,rolebindings -o yaml",
    ),
    ("volumes.yaml", "get persistentvolumeclaims,persistentvolumes -o yaml"),
    ("endpoints.yaml", "get endpointslices -o yaml"),
    ("pods.txt", "describe pods"),
    ("pods.yaml", "get pods -o yaml"),
];

/// Collects everything there is to see; returns the folder.
pub(crate) async fn collect(cx: &Ctx, problems: &[String]) -> Result<PathBuf> {
    let folder = cx
        .world
        .bed
        .root()
        .join("out/e2e")
        .join(cx.namespace.trim_start_matches("e2e-"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    std::fs::write(folder.join("problems.txt"), problems.join("\n") + "\n")?;
    std::fs::write(folder.join("notes.txt"), cx.notes().join("\n") + "\n")?;
    std::fs::write(
        folder.join("samples.json"),
        format!("{:#}\n", sampler::as_json(&cx.watch)),
    )?;
    if tokio::time::timeout(LIMIT, ask_everyone(cx, &folder)).await.is_err() {
        std::fs::write(folder.join("incomplete.txt"), "collecting the evidence took too long\n")?;
    }
    Ok(folder)
}

async fn ask_everyone(cx: &Ctx, folder: &Path) {
    for (file, question) in QUESTIONS {
        save(folder, file, cx.kubectl.run_line(question).await);
    }
    let system = Kubectl::new(SYSTEM);
    save(
        folder,
        "operator.log",
        system
            .run_line(&format!("logs deployment/{OPERATOR} --all-containers --tail=5000"))
            .await,
    );
    save(folder, "operator.txt", system.run_line("describe pods").await);
    save(folder, "nodes.txt", system.run_line("get nodes -o wide").await);
    save(folder, "writes.jsonl", bed_log(cx, "audit", is_write).await);
    let said = bed_log(cx, "controller-manager", |_| true).await;
    save(folder, "controller-manager.log", said);
    let pods = match cx.pods().list(&Default::default()).await {
        Ok(pods) => pods.items.iter().map(PodView::of).collect(),
        Err(error) => {
            save(folder, "members.txt", Err(error.into()));
            Vec::new()
        }
    };
    save(folder, "members.txt", Ok(members(cx, &pods).await));
    for pod in &pods {
        logs(cx, folder, pod).await;
        if let Some(ip) = &pod.ip {
            let status = agent::status(ip).await.map(|status| format!("{status:#}"));
            save(folder, &format!("{}.status.json", pod.name), status);
        }
    }
}

/// The member list and the state of every member, as each has it.
async fn members(cx: &Ctx, pods: &[PodView]) -> String {
    let mut text = String::new();
    for pod in pods {
        let Some(address) = pod.client_address() else { continue };
        let status = match cx.world.etcd.status(&address).await {
            Ok(status) => json!({
                "cluster": format!("{:016x}", status.cluster_id),
                "member": format!("{:016x}", status.member_id),
                "leader": format!("{:016x}", status.leader),
                "version": status.version,
                "learner": status.learner,
            })
            .to_string(),
            Err(error) => format!("{error:#}"),
        };
        let _ = writeln!(text, "{} ({address}): {status}", pod.name);
        match cx.world.etcd.view(&address).await {
            Ok(view) => view.members.iter().for_each(|member| {
                let role = if member.learner { "learner" } else { "voter" };
                let _ = writeln!(
                    text,
                    "    {:016x} {role:7} {:12} {}",
                    member.id, member.name, member.peer_url
                );
            }),
            Err(error) => {
                let _ = writeln!(text, "    {error:#}");
            }
        }
    }
    text
}

/// The lines to `keep` of a log of the bed that are about this namespace.
async fn bed_log(cx: &Ctx, name: &str, keep: impl Fn(&str) -> bool) -> Result<String> {
    let path = cx.world.bed.call(&["log", name]).await?;
    let log = tokio::fs::read(&path).await.with_context(|| path.clone())?;
    let log = String::from_utf8_lossy(&log);
    let about = log.lines().filter(|line| line.contains(&cx.namespace) && keep(line));
    Ok(about.collect::<Vec<_>>().join("\n"))
}

/// True if a line of the audit log tells of a request that changes something.
fn is_write(line: &str) -> bool {
    !["get", "list", "watch"]
        .iter()
        .any(|verb| line.contains(&format!(r#""verb":"{verb}""#)))
}

async fn logs(cx: &Ctx, folder: &Path, pod: &PodView) {
    for (container, restarts) in &pod.restarts {
        let log = cx
            .kubectl
            .run(&["logs", &pod.name, "-c", container, "--timestamps"])
            .await;
        save(folder, &format!("{}.{container}.log", pod.name), log);
        if *restarts > 0 {
            let log = cx
                .kubectl
                .run(&["logs", &pod.name, "-c", container, "--previous", "--timestamps"])
                .await;
            save(folder, &format!("{}.{container}.previous.log", pod.name), log);
        }
    }
}

fn save(folder: &Path, file: &str, text: Result<String>) {
    let text = text.unwrap_or_else(|error| format!("not available: {error:#}"));
    if let Err(error) = std::fs::write(folder.join(file), text + "\n") {
        println!("  {file}: {error}");
    }
}
