//! The context of one scenario: its namespace, its version, its notes, and
//! what has to be put right at the end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::pods::PodView;
use crate::sampler::Watch;
use crate::wait::{secs, until};
use crate::world::{OPERATOR, SYSTEM, World};

type Repair = (String, LocalBoxFuture<'static, Result<()>>);

/// The context of one scenario.
pub(crate) struct Ctx {
    /// The world that all scenarios share.
    pub(crate) world: Rc<World>,
    /// The scenario's own namespace.
    pub(crate) namespace: String,
    /// The etcd version to run.
    pub(crate) version: String,
    /// kubectl in the scenario's namespace.
    pub(crate) kubectl: Kubectl,
    /// The sampler's samples, and what it is told.
    pub(crate) watch: Rc<Watch>,
    title: String,
    start: Instant,
    last_step: RefCell<String>,
    notes: RefCell<Vec<String>>,
    repairs: RefCell<Vec<Repair>>,
}

impl Ctx {
    /// The context of a scenario that begins now.
    pub(crate) fn new(world: Rc<World>, title: &str, version: &str) -> Self {
        let namespace = format!("e2e-{}", title.replace(['@', '.'], "-"));
        Self {
            kubectl: Kubectl::new(&namespace),
            watch: Rc::default(),
            world,
            namespace,
            version: version.to_owned(),
            title: title.to_owned(),
            start: Instant::now(),
            last_step: RefCell::default(),
            notes: RefCell::default(),
            repairs: RefCell::default(),
        }
    }

    /// A cluster of this name; nothing is created yet.
    pub(crate) fn cluster(&self, name: &str) -> Cluster<'_> {
        Cluster::new(self, name)
    }

    /// Prints the step that happens now.
    pub(crate) fn step(&self, what: impl AsRef<str>) {
        let (what, at) = (what.as_ref(), format!("+{:.1}s", self.start.elapsed().as_secs_f64()));
        println!("  [{} {at}] {what}", self.title);
        *self.last_step.borrow_mut() = format!("{at}: {what}");
    }

    /// The last step, with the time of its begin: `+12.3s: kubectl apply …`.
    pub(crate) fn last_step(&self) -> String {
        self.last_step.borrow().clone()
    }

    /// Notes a result that is worth reporting at the end of the scenario.
    pub(crate) fn note(&self, what: impl Into<String>) {
        let what = what.into();
        self.step(&what);
        self.notes.borrow_mut().push(what);
    }

    /// The results so far.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }

    /// Runs a fault command of the bed.
    pub(crate) async fn fault(&self, line: &str) -> Result<String> {
        self.step(format!("fault {line}"));
        let args: Vec<_> = line.split_whitespace().collect();
        self.world.bed.fault(&args).await
    }

    /// Registers a repair that is made at the end, come what may.
    pub(crate) fn at_end(&self, what: &str, repair: impl Future<Output = Result<()>> + 'static) {
        self.repairs.borrow_mut().push((what.to_owned(), Box::pin(repair)));
    }

    /// Registers a fault command of the bed that is run at the end.
    pub(crate) fn fault_at_end(&self, line: &str) {
        let (bed, line) = (self.world.bed.clone(), line.to_owned());
        self.at_end(&line.clone(), async move {
            let args: Vec<_> = line.split_whitespace().collect();
            bed.fault(&args).await.map(|_| ())
        });
    }

    /// Makes the repairs, the last one first; returns those that failed.
    pub(crate) async fn repair(&self) -> Vec<String> {
        let mut failures = Vec::new();
        loop {
            let next = self.repairs.borrow_mut().pop();
            let Some((what, repair)) = next else { return failures };
            if let Err(error) = repair.await {
                failures.push(format!("{what}: {error:#}"));
            }
        }
    }

    /// Pods of this namespace.
    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.world.client.clone(), &self.namespace)
    }

    /// The operator's pods by UID, and how often each was started again.
    pub(crate) async fn operators(&self) -> Result<BTreeMap<String, i32>> {
        let pods: Api<Pod> = Api::namespaced(self.world.client.clone(), SYSTEM);
        let pods = pods.list(&ListParams::default()).await?.items;
        Ok(pods
            .iter()
            .map(PodView::of)
            .map(|pod| (pod.uid, pod.restarts.iter().map(|(_, times)| times).sum()))
            .collect())
    }

    /// Scales the operator to zero and waits until it is gone.
    pub(crate) async fn stop_operator(&self) -> Result<()> {
        self.step("the operator is scaled to zero");
        self.watch.status_may_be_stale(true);
        let system = Kubectl::new(SYSTEM);
        let back = system.clone();
        self.at_end("operator back", async move { start_operator(&back).await });
        system
            .run_line(&format!("scale deployment {OPERATOR} --replicas=0"))
            .await?;
        let pods: Api<Pod> = Api::namespaced(self.world.client.clone(), SYSTEM);
        until("the operator's pods to end", secs(60), async || {
            let left = pods.list(&ListParams::default()).await?.items.len();
            anyhow::ensure!(left == 0, "{left} pods in {SYSTEM}");
            Ok(())
        })
        .await
    }

    /// Scales the operator up again.
    pub(crate) async fn start_operator(&self) -> Result<()> {
        self.step("the operator is scaled up again");
        start_operator(&Kubectl::new(SYSTEM)).await?;
        self.watch.status_may_be_stale(false);
        Ok(())
    }
}

async fn start_operator(system: &Kubectl) -> Result<()> {
    system
        .run_line(&format!("scale deployment {OPERATOR} --replicas=1"))
        .await?;
    system
        .run_line(&format!("rollout status deployment {OPERATOR} --timeout=90s"))
        .await
        .context("the operator to be back")?;
    Ok(())
}
