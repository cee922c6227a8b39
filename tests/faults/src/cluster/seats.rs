//! The cluster as its user sees it: seats with pods, scaled up and down.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use muster_api::birth::BirthRecord;
use muster_api::workload::Shrink;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::etcd;
use super::volumes::Volumes;
use crate::fake_kubernetes::container::Line;
use crate::fake_kubernetes::names::Names;
use crate::fake_kubernetes::objects::{Objects, PodEntry};
use crate::fake_kubernetes::pod::{Pod, Spec};
use crate::fake_kubernetes::{CLUSTER, DOMAIN, NAMESPACE, api};
use crate::run::Kit;
use crate::stage::gate::{Caught, Gate};
use crate::stage::net::Net;
use crate::wait::{secs, until};

/// A cluster, its fake Kubernetes, and its network.
pub(crate) struct Cluster {
    /// The kit that all cases share.
    pub(crate) kit: Rc<Kit>,
    /// The gate that everything passes.
    pub(crate) gate: Arc<Gate>,
    /// The API server's objects.
    pub(crate) objects: Rc<Objects>,
    pub(crate) names: Rc<Names>,
    /// The lines that containers write.
    pub(crate) lines: broadcast::Sender<Line>,
    pub(crate) folder: PathBuf,
    pub(crate) volumes: RefCell<Volumes>,
    /// The passage that a story holds until its end.
    pub(crate) kept: RefCell<Option<Caught>>,
    /// etcd's options in pods that start from now on, as the pod template has them.
    pub(crate) options: Cell<&'static str>,
    pods: RefCell<BTreeMap<u32, Rc<Pod>>>,
    counts: RefCell<BTreeMap<u32, u8>>,
    failures: RefCell<Vec<String>>,
    net: Net,
    servers: RefCell<Vec<JoinHandle<()>>>,
    over: Cell<bool>,
}

impl Cluster {
    /// A cluster without pods.
    pub(crate) async fn new(
        kit: &Rc<Kit>,
        slot: u8,
        folder: PathBuf,
        replicas: u32,
        birth: &BirthRecord,
    ) -> Result<Rc<Self>> {
        std::fs::create_dir_all(folder.join("volumes"))?;
        let gate = Gate::open(&folder.join("gate.log"))?;
        let objects = Rc::new(Objects::new(replicas, birth));
        let names = Rc::<Names>::default();
        let net = Net::make(slot)?;
        let servers = vec![
            names.serve(net.gateway()).await?,
            api::serve(net.gateway(), objects.clone(), gate.clone()).await?,
        ];
        Ok(Rc::new(Self {
            kit: kit.clone(),
            gate,
            objects,
            names,
            lines: broadcast::Sender::new(4096),
            volumes: RefCell::new(Volumes::new(folder.join("volumes"))),
            folder,
            kept: RefCell::default(),
            options: Cell::new("[]"),
            pods: RefCell::default(),
            counts: RefCell::default(),
            failures: RefCell::default(),
            net,
            servers: RefCell::new(servers),
            over: Cell::new(false),
        }))
    }

    /// The pod of a seat.
    pub(crate) fn pod(&self, seat: u32) -> Result<Rc<Pod>> {
        let pods = self.pods.borrow();
        pods.get(&seat)
            .cloned()
            .with_context(|| format!("there is no pod of seat {seat}"))
    }

    pub(crate) fn pods(&self) -> Vec<Rc<Pod>> {
        self.pods.borrow().values().cloned().collect()
    }

    /// The failures in the background.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.borrow().clone()
    }

    fn host(seat: u32) -> String {
        muster_api::Names::new(CLUSTER).peer_host(seat, NAMESPACE, DOMAIN)
    }

    /// Starts a pod for a seat, on the volume that it has.
    pub(crate) fn start_pod(&self, seat: u32) -> Result<()> {
        let nth = {
            let mut counts = self.counts.borrow_mut();
            let count = counts.entry(seat).or_default();
            *count += 1;
            *count
        };
        let spec = Spec {
            seat,
            nth,
            volume: self.volumes.borrow_mut().of(seat)?,
            etcd: self.kit.etcd_of(seat),
            options: self.options.get(),
            folder: self.folder.clone(),
        };
        let pod = Pod::start(spec, self.net, &self.gate, &self.kit.programs, &self.lines)?;
        self.gate
            .note(&format!("seat {seat}: pod {} at {}", pod.uid, pod.address));
        let entry = PodEntry {
            uid: pod.uid.clone(),
            address: pod.address,
            terminating: false,
        };
        self.names.publish(&Self::host(seat), pod.address);
        self.objects.pods.borrow_mut().insert(seat, entry);
        self.pods.borrow_mut().insert(seat, pod);
        Ok(())
    }

    /// Starts the pods that are wanted and not there.
    pub(crate) fn ensure_pods(&self) -> Result<()> {
        for seat in 0..self.objects.replicas() {
            if !self.pods.borrow().contains_key(&seat) {
                self.start_pod(seat)?;
            }
        }
        Ok(())
    }

    /// Loses a seat's pod, like a lost node. `meanwhile` is done to its volume.
    pub(crate) async fn lose_pod(&self, seat: u32, meanwhile: impl FnOnce(&mut Volumes)) -> Result<()> {
        let pod = self.pod(seat)?;
        pod.kill().await?;
        self.gate.note(&format!("seat {seat}: pod {} is lost", pod.uid));
        self.forget(&pod);
        meanwhile(&mut self.volumes.borrow_mut());
        Ok(())
    }

    fn forget(&self, pod: &Pod) {
        let seat = pod.spec.seat;
        let current = self.pods.borrow().get(&seat).is_some_and(|known| known.uid == pod.uid);
        if current {
            self.pods.borrow_mut().remove(&seat);
            self.objects.pods.borrow_mut().remove(&seat);
            self.names.withdraw(&Self::host(seat));
        }
    }

    /// Scales the StatefulSet, which starts and ends pods.
    pub(crate) fn scale(self: &Rc<Self>, replicas: u32) -> Result<()> {
        self.gate.note(&format!("the StatefulSet is scaled to {replicas}"));
        self.objects.set_scale(replicas, None);
        for pod in self.pods().into_iter().filter(|pod| pod.spec.seat >= replicas) {
            self.delete(pod);
        }
        self.ensure_pods()
    }

    /// Ends a pod in the background, as the kubelet does; a seat that is wanted gets a new one.
    pub(crate) fn delete(self: &Rc<Self>, pod: Rc<Pod>) {
        if pod.terminating.replace(true) {
            return;
        }
        if let Some(entry) = self.objects.pods.borrow_mut().get_mut(&pod.spec.seat) {
            entry.terminating = true;
        }
        let this = self.clone();
        tokio::task::spawn_local(async move {
            let result = pod.delete(&this.kit.programs).await;
            this.forget(&pod);
            let result = result.and_then(|()| if this.over.get() { Ok(()) } else { this.ensure_pods() });
            if let Err(error) = result {
                this.failures
                    .borrow_mut()
                    .push(format!("deleting {}: {error:#}", pod.uid));
            }
        });
    }

    /// Shrinks as the operator does: the target first, fewer pods when the members are gone.
    pub(crate) fn shrink(self: &Rc<Self>, to: u32) -> Result<()> {
        let from = self.objects.replicas();
        let shrink = Shrink::new(from, to).context("that is no shrinking")?;
        self.gate.note(&format!("the operator shrinks: {shrink}"));
        self.objects.set_scale(from, Some(shrink.to_string()));
        let this = self.clone();
        tokio::task::spawn_local(async move {
            let gone = until("the members to be gone", secs(120), async || {
                ensure!(!this.over.get(), "over");
                let view = etcd::fenced_view(this.pod(0)?.address).await?;
                ensure!(view.members.len() <= to as usize, "{} members", view.members.len());
                Ok(())
            });
            let result = match gone.await {
                Ok(()) => this.scale(to),
                other => other,
            };
            if let Err(error) = result.map_err(|error| error.to_string()) {
                this.failures.borrow_mut().push(format!("shrinking: {error}"));
            }
        });
        Ok(())
    }

    /// The seat and address of the leader, as a quorum sees it.
    pub(crate) async fn leader(&self) -> Result<(u32, Ipv4Addr)> {
        let mut seen = "nobody answers".to_owned();
        for pod in self.pods() {
            match etcd::status(pod.address).await {
                Ok(status) if status.leader == status.member_id => {
                    etcd::fenced_view(pod.address).await?;
                    return Ok((pod.spec.seat, pod.address));
                }
                Ok(status) => seen = format!("{} follows {:016x}", pod.uid, status.leader),
                Err(error) => seen = format!("{error:#}"),
            }
        }
        anyhow::bail!("no leader: {seen}")
    }

    /// Makes the voter of `seat` the leader.
    pub(crate) async fn make_leader(&self, seat: u32) -> Result<()> {
        until(&format!("seat {seat} to lead"), secs(20), async || {
            let (leader, address) = self.leader().await?;
            if leader == seat {
                return Ok(());
            }
            let to = etcd::status(self.pod(seat)?.address).await?;
            etcd::move_leader(address, to.member_id).await?;
            anyhow::bail!("asked seat {leader} to hand over")
        })
        .await
    }

    /// Loses all pods at once, like a power cut.
    pub(crate) async fn lose_all_pods(&self) -> Result<()> {
        let pods = self.pods();
        for result in join_all(pods.iter().map(|pod| pod.kill())).await {
            result?;
        }
        pods.iter().for_each(|pod| self.forget(pod));
        Ok(())
    }

    /// Removes everything but the folder.
    pub(crate) async fn close(&self) -> Result<()> {
        self.over.set(true);
        self.lose_all_pods().await?;
        let servers = std::mem::take(&mut *self.servers.borrow_mut());
        for server in servers {
            server.abort();
            // Its port is free once it has ended.
            _ = server.await;
        }
        self.net.remove()
    }
}
