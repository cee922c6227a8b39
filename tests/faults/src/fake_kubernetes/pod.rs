//! A pod and its kubelet: two containers over one volume, in one network namespace.

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::container::{Container, Image, Line};
use super::{CLUSTER, NAMESPACE, api};
use crate::stage::gate::Gate;
use crate::stage::net::Net;
use crate::stage::processes::Process;
use crate::stage::proxy::Proxies;
use crate::stage::{apart, door};
use crate::wait::secs;

/// The time that a hook and etcd's end may take; Muster asks for 120 s.
const GRACE: Duration = secs(60);

/// The programs that pods run, copied inside.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// The agent, launcher and hook.
    pub(crate) agent: PathBuf,
    /// The door before etcd.
    pub(crate) door: PathBuf,
}

/// The spec of a pod.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) seat: u32,
    /// The number of pods that the seat had before.
    pub(crate) nth: u8,
    pub(crate) volume: PathBuf,
    pub(crate) etcd: PathBuf,
    pub(crate) options: &'static str,
    pub(crate) folder: PathBuf,
}

/// A pod that runs.
#[derive(Debug)]
pub(crate) struct Pod {
    /// The spec that it was made from.
    pub(crate) spec: Spec,
    pub(crate) uid: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) agent: Rc<Container>,
    pub(crate) etcd: Rc<Container>,
    /// True if it is being deleted.
    pub(crate) terminating: Cell<bool>,
    netns: PathBuf,
    proxies: RefCell<Option<Proxies>>,
    door: AbortHandle,
}

impl Pod {
    pub(crate) fn start(
        spec: Spec,
        net: Net,
        gate: &Arc<Gate>,
        programs: &Programs,
        lines: &broadcast::Sender<Line>,
    ) -> Result<Rc<Self>> {
        let name = format!("{CLUSTER}-{}", spec.seat);
        let uid = format!("uid-{}-{}", spec.seat, spec.nth);
        let folder = spec.folder.join(&uid);
        std::fs::create_dir_all(folder.join("run"))?;
        let (netns, address) = net.plug(spec.seat, spec.nth)?;
        write_settings(&folder, net)?;
        let proxies = Proxies::start(&netns, spec.seat, gate.clone())?;
        let door = door::keep(&folder.join("run"), spec.seat, gate.clone())?;
        let image = |part: &str, command: &[&str], more: &[(&str, &str)]| {
            let mut environment = vec![("MUSTER_CLUSTER".to_owned(), CLUSTER.to_owned())];
            environment.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
            let mut words = vec![programs.agent.display().to_string()];
            words.extend(command.iter().map(|word| (*word).to_owned()));
            Image {
                name: format!("{name}/{part}"),
                netns: netns.clone(),
                folder: folder.clone(),
                volume: spec.volume.clone(),
                command: words,
                environment,
                log: spec.folder.join(format!("{name}.{}-{part}.log", spec.nth)),
            }
        };
        let kubeconfig = folder.join("kubeconfig").display().to_string();
        let etcd = spec.etcd.display().to_string();
        let agent = image(
            "agent",
            &["serve"],
            &[
                ("POD_NAME", &name),
                ("POD_NAMESPACE", NAMESPACE),
                ("POD_UID", &uid),
                ("POD_IP", &address.to_string()),
                ("KUBECONFIG", &kubeconfig),
                ("MUSTER_ETCD_IMAGE", &etcd),
                ("MUSTER_ETCD_OPTIONS", spec.options),
                ("MUSTER_LOG", "info,muster_agent=debug"),
            ],
        );
        let door_program = programs.door.display().to_string();
        let launcher = image(
            "etcd",
            &["launch"],
            &[("MUSTER_ETCD_BINARY", &door_program), (door::REAL, &etcd)],
        );
        Ok(Rc::new(Self {
            uid,
            address,
            agent: Container::start(agent, lines.clone()),
            etcd: Container::start(launcher, lines.clone()),
            terminating: Cell::new(false),
            netns,
            proxies: RefCell::new(Some(proxies)),
            door,
            spec,
        }))
    }

    /// The agent's own process, below the one that keeps it running.
    pub(crate) fn worker(&self) -> Option<Process> {
        self.agent.processes().into_iter().nth(1)
    }

    /// etcd, or what is about to become it.
    pub(crate) fn etcd_process(&self) -> Option<Process> {
        self.etcd.processes().into_iter().nth(1)
    }

    /// Ends it as the kubelet does: hook, etcd, agent.
    pub(crate) async fn delete(&self, programs: &Programs) -> Result<()> {
        self.terminating.set(true);
        self.agent.no_more_starts();
        self.etcd.no_more_starts();
        if let Some(mut hook) = self.etcd.beside(&programs.agent, "leave") {
            let mut hook = hook.spawn()?;
            tokio::select! {
                _ = timeout(GRACE, hook.wait()) => {}
                // With the container ends its hook.
                () = self.etcd.ended() => {}
            }
        }
        self.etcd.signal(Signal::TERM);
        if timeout(GRACE, self.etcd.ended()).await.is_err() {
            self.etcd.kill();
        }
        self.agent.signal(Signal::TERM);
        if timeout(secs(5), self.agent.ended()).await.is_err() {
            self.agent.kill();
        }
        self.remove().await
    }

    /// Ends it like a lost node.
    pub(crate) async fn kill(&self) -> Result<()> {
        self.terminating.set(true);
        for container in [&self.agent, &self.etcd] {
            container.no_more_starts();
            container.kill();
        }
        self.remove().await
    }

    async fn remove(&self) -> Result<()> {
        let ended = async {
            self.etcd.ended().await;
            self.agent.ended().await;
        };
        timeout(secs(10), ended).await.context("the containers do not end")?;
        self.door.abort();
        let proxies = self.proxies.borrow_mut().take();
        // It waits for a thread.
        drop(proxies);
        if self.netns.exists() {
            Net::unplug(&self.netns)?;
        }
        Ok(())
    }
}

fn write_settings(folder: &Path, net: Net) -> Result<()> {
    let gateway = net.gateway();
    let domain = super::DOMAIN;
    std::fs::write(
        folder.join("resolv.conf"),
        format!(
            "nameserver {gateway}\nsearch {NAMESPACE}.svc.{domain} svc.{domain} {domain}\noptions ndots:5 timeout:2 attempts:2\n"
        ),
    )?;
    let api = format!("http://{gateway}:{}", api::PORT);
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": api } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u", "namespace": NAMESPACE } }],
        "users": [{ "name": "u", "user": {} }],
    });
    std::fs::write(folder.join("kubeconfig"), kubeconfig.to_string())?;
    Ok(())
}

/// Copies the programs inside.
pub(crate) fn bring_programs(agent: &Path) -> Result<Programs> {
    Ok(Programs {
        agent: apart::bring(agent, "muster-agent")?,
        door: apart::bring(&std::env::current_exe()?, "etcd")?,
    })
}
