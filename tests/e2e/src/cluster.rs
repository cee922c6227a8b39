//! One etcd cluster: what a user does with it, and what can be seen of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};

use crate::ctx::Ctx;
use crate::judge::{self, Settled};
use crate::pods::PodView;
use crate::wait::{secs, until, until_every};
use crate::world::etcd_cluster_resource;

/// The way in which a user asks for another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// `kubectl patch etcdcluster`.
    Patch,
    /// `kubectl apply` of the whole manifest.
    Apply,
    /// `kubectl scale etcdcluster`.
    Scale,
    /// `kubectl scale statefulset`, past the operator.
    StatefulSet,
}

/// A handle on one cluster of a scenario.
#[derive(Clone, Copy)]
pub(crate) struct Cluster<'a> {
    pub(crate) cx: &'a Ctx,
    name: &'a str,
}

impl<'a> Cluster<'a> {
    /// A handle; nothing is created.
    pub(crate) fn new(cx: &'a Ctx, name: &str) -> Self {
        // One short name for each of a handful of clusters.
        Self {
            cx,
            name: Box::leak(name.to_owned().into_boxed_str()),
        }
    }

    /// The cluster's name, which is its StatefulSet's too.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    /// The EtcdCluster as a user writes it.
    pub(crate) fn manifest(&self, size: u32) -> Value {
        json!({
            "apiVersion": "etcd.etcd.io/v1alpha1",
            "kind": "EtcdCluster",
            "metadata": { "name": self.name },
            "spec": { "size": size, "version": self.cx.version, "storage": { "size": "1Gi" } },
        })
    }

    /// Applies the manifest with this size.
    pub(crate) async fn apply(&self, size: u32) -> Result<()> {
        self.cx.step(format!("kubectl apply {} with size {size}", self.name));
        self.cx.kubectl.apply(&self.manifest(size)).await?;
        Ok(())
    }

    /// Applies the manifest and waits until the cluster is what it says.
    pub(crate) async fn create(&self, size: u32) -> Result<Settled> {
        let start = Instant::now();
        self.apply(size).await?;
        let settled = self.converged(size, secs(60 + 40 * u64::from(size))).await?;
        self.cx
            .note(format!("create {size}: {:.1} s", start.elapsed().as_secs_f64()));
        Ok(settled)
    }

    /// Asks for another size and returns at once.
    pub(crate) async fn ask_size(&self, size: u32, by: By) -> Result<()> {
        let name = self.name;
        let kubectl = &self.cx.kubectl;
        match by {
            By::Apply => return self.apply(size).await,
            By::Patch => {
                self.cx.step(format!("kubectl patch {name} to size {size}"));
                let patch = format!(r#"{{"spec":{{"size":{size}}}}}"#);
                kubectl
                    .run(&["patch", "etcdcluster", name, "--type=merge", "-p", &patch])
                    .await?;
            }
            By::Scale => {
                self.cx.step(format!("kubectl scale etcdcluster {name} to {size}"));
                kubectl
                    .run_line(&format!("scale etcdcluster {name} --replicas={size}"))
                    .await?;
            }
            By::StatefulSet => {
                self.cx.step(format!("kubectl scale statefulset {name} to {size}"));
                kubectl
                    .run_line(&format!("scale statefulset {name} --replicas={size}"))
                    .await?;
            }
        }
        Ok(())
    }

    /// Asks for another size and waits until the cluster has it.
    pub(crate) async fn scale(&self, size: u32, by: By) -> Result<Settled> {
        let start = Instant::now();
        self.ask_size(size, by).await?;
        let settled = self.converged(size, secs(180)).await?;
        self.cx
            .note(format!("to {size} by {by:?}: {:.1} s", start.elapsed().as_secs_f64()));
        Ok(settled)
    }

    /// Waits until etcd and Kubernetes agree on exactly `size` seats.
    pub(crate) async fn converged(&self, size: u32, limit: Duration) -> Result<Settled> {
        let what = format!("{} to have exactly {size} members", self.name);
        until_every(&what, limit, Duration::from_millis(60), async || {
            judge::look(self, size).await
        })
        .await
    }

    /// Waits until the EtcdCluster's status tells what the judge saw.
    pub(crate) async fn reported(&self, settled: &Settled) -> Result<()> {
        until(
            "the EtcdCluster's status to tell what etcd says",
            secs(30),
            async || {
                let object = self.object().await?.context("no EtcdCluster")?;
                judge::compare_status(&object, settled)
            },
        )
        .await
    }

    /// The EtcdCluster, if there is one.
    pub(crate) async fn object(&self) -> Result<Option<Value>> {
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.cx.world.client.clone(),
            &self.cx.namespace,
            &etcd_cluster_resource(),
        );
        Ok(api.get_opt(self.name).await?.map(serde_json::to_value).transpose()?)
    }

    /// The entry of a seat in the EtcdCluster's status.
    ///
    /// # Errors
    /// There is no such entry.
    pub(crate) async fn seat_status(&self, seat: u32) -> Result<Value> {
        let (object, name) = (self.object().await?.context("no EtcdCluster")?, self.seat(seat));
        let seats = object["status"]["seats"].as_array().into_iter().flatten();
        let found = seats.into_iter().find(|seat| seat["name"] == name.as_str());
        found.cloned().with_context(|| format!("no seat {name} in the status"))
    }

    /// The StatefulSet, if there is one.
    pub(crate) async fn stateful_set(&self) -> Result<Option<StatefulSet>> {
        let api: Api<StatefulSet> = Api::namespaced(self.cx.world.client.clone(), &self.cx.namespace);
        Ok(api.get_opt(self.name).await?)
    }

    /// The birth record's data.
    pub(crate) async fn birth(&self) -> Result<BTreeMap<String, String>> {
        let api: Api<ConfigMap> = Api::namespaced(self.cx.world.client.clone(), &self.cx.namespace);
        Ok(api
            .get_opt(&format!("{}-birth", self.name))
            .await?
            .and_then(|record| record.data)
            .unwrap_or_default())
    }

    /// The cluster's pods, by name.
    pub(crate) async fn pods(&self) -> Result<BTreeMap<String, PodView>> {
        let selector = format!("app.kubernetes.io/name=etcd,app.kubernetes.io/instance={}", self.name);
        let pods = self.cx.pods().list(&ListParams::default().labels(&selector)).await?;
        Ok(pods
            .items
            .iter()
            .map(PodView::of)
            .map(|pod| (pod.name.clone(), pod))
            .collect())
    }

    /// The pod of one seat.
    pub(crate) async fn pod(&self, seat: u32) -> Result<PodView> {
        let name = self.seat(seat);
        self.pods()
            .await?
            .remove(&name)
            .with_context(|| format!("no pod {name}"))
    }

    /// The client address of one seat.
    pub(crate) async fn address(&self, seat: u32) -> Result<String> {
        let address = self.pod(seat).await?.client_address();
        address.with_context(|| format!("{} has no address", self.seat(seat)))
    }

    /// The name of a seat.
    pub(crate) fn seat(&self, seat: u32) -> String {
        format!("{}-{seat}", self.name)
    }

    /// A seat's pod, as the bed's container commands name it.
    pub(crate) fn path(&self, seat: u32) -> String {
        format!("{}/{}", self.cx.namespace, self.seat(seat))
    }

    /// The pods of these seats as one end of a cut.
    pub(crate) fn end(&self, seats: &[u32]) -> String {
        let paths: Vec<_> = seats.iter().map(|seat| self.path(*seat)).collect();
        format!("pod:{}", paths.join(","))
    }

    /// The seat whose member leads.
    pub(crate) async fn leader(&self) -> Result<u32> {
        let pods = self.pods().await?;
        for pod in pods.values() {
            let Some(address) = pod.client_address() else { continue };
            match self.cx.world.etcd.status(&address).await {
                Ok(status) if status.leader == status.member_id => {
                    return pod.seat().context("a pod without an ordinal");
                }
                _ => {}
            }
        }
        bail!("none of {:?} leads", pods.keys())
    }

    /// Moves leadership to a seat.
    pub(crate) async fn lead_from(&self, seat: u32) -> Result<()> {
        until(&format!("{} to lead", self.seat(seat)), secs(20), async || {
            let leader = self.leader().await?;
            if leader == seat {
                return Ok(());
            }
            let address = self
                .pod(leader)
                .await?
                .client_address()
                .context("the leader has no address")?;
            let etcd = &self.cx.world.etcd;
            let members = etcd.view(&address).await?.members;
            let target = members
                .iter()
                .find(|member| member.name == self.seat(seat))
                .context("no such member")?
                .id;
            etcd.move_leader(&address, target).await?;
            bail!("{} leads", self.seat(leader))
        })
        .await
    }

    /// The address of the client Service.
    pub(crate) async fn service_address(&self) -> Result<String> {
        let api: Api<Service> = Api::namespaced(self.cx.world.client.clone(), &self.cx.namespace);
        let spec = api.get(self.name).await?.spec.context("a Service without a spec")?;
        let ip = spec
            .cluster_ip
            .filter(|ip| ip != "None")
            .context("a Service without an address")?;
        Ok(format!("{ip}:2379"))
    }

    /// Writes a few keys through the first seat, to be found again later.
    pub(crate) async fn put_data(&self, tag: &str) -> Result<()> {
        let address = self.address(0).await?;
        for i in 0..20 {
            self.cx
                .world
                .etcd
                .put(&address, &format!("data/{tag}/{i}"), &format!("{tag}-{i}"))
                .await?;
        }
        Ok(())
    }

    /// Reads the keys of `put_data` back from every pod.
    pub(crate) async fn check_data(&self, tag: &str) -> Result<()> {
        for pod in self.pods().await?.values() {
            let address = pod
                .client_address()
                .with_context(|| format!("{} has no address", pod.name))?;
            let found = self
                .cx
                .world
                .etcd
                .range(&address, &format!("data/{tag}/"), true)
                .await?;
            for i in 0..20 {
                let value = found.get(&format!("data/{tag}/{i}"));
                ensure!(
                    value.is_some_and(|value| *value == format!("{tag}-{i}")),
                    "{}: data/{tag}/{i} is {value:?}",
                    pod.name
                );
            }
        }
        Ok(())
    }
}
