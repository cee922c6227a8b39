//! Clients that put, compare and swap, and read: some through the client
//! Service, some of one pod after the other, which finds members that are cut
//! off and do not know it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::etcd::connect;
use crate::pods::PodView;

use super::history::{History, Kind, Operation, Outcome};

/// The number of clients; every other one talks to pods directly.
const CLIENTS: u32 = 6;
/// Keys at one time.
const KEYS: u32 = 6;
/// After this time the clients turn to fresh keys, so that the history of
/// each key stays short enough to be checked.
const EPOCH: Duration = Duration::from_secs(8);
/// The timeout of one operation.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The clients that run.
pub(super) struct Clients {
    stop: Rc<Cell<bool>>,
    history: Rc<RefCell<History>>,
    tasks: Vec<JoinHandle<()>>,
}

/// A client and its operations.
struct Worker {
    id: u32,
    start: Instant,
    random: StdRng,
    service: String,
    pods: Option<(Api<Pod>, String)>,
    client: Option<Client>,
    stop: Rc<Cell<bool>>,
    history: Rc<RefCell<History>>,
    identities: Rc<Cell<u32>>,
    count: u64,
}

impl Clients {
    /// Starts the clients; times count from `start`.
    pub(super) async fn start(cluster: &Cluster<'_>, start: Instant, seed: u64) -> Result<Self> {
        let service = cluster.service_address().await?;
        let (stop, history) = (Rc::new(Cell::new(false)), Rc::new(RefCell::new(History::default())));
        let identities = Rc::new(Cell::new(CLIENTS));
        let selector = format!(
            "app.kubernetes.io/name=etcd,app.kubernetes.io/instance={}",
            cluster.name()
        );
        let tasks = (0..CLIENTS).map(|id| {
            let worker = Worker {
                id,
                start,
                random: StdRng::seed_from_u64(seed.wrapping_mul(1000) + u64::from(id)),
                service: service.clone(),
                pods: (id % 2 == 1).then(|| (cluster.cx.pods(), selector.clone())),
                client: None,
                stop: Rc::clone(&stop),
                history: Rc::clone(&history),
                identities: Rc::clone(&identities),
                count: 0,
            };
            tokio::task::spawn_local(worker.run())
        });
        let tasks = tasks.collect();
        Ok(Self { stop, history, tasks })
    }

    /// Stops the clients; what they did and saw.
    pub(super) async fn finish(self) -> Result<History> {
        self.stop.set(true);
        for task in self.tasks {
            task.await.context("a client")?;
        }
        Ok(self.history.take())
    }
}

impl Worker {
    async fn run(mut self) {
        while !self.stop.get() {
            if self.client.is_none() && self.connect().await.is_err() {
                self.history.borrow_mut().failed += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            self.operate().await;
            // A direct client looks at another pod every now and then.
            if self.pods.is_some() && self.random.random_bool(0.05) {
                self.client = None;
            }
            let pause = self.random.random_range(5..40);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn connect(&mut self) -> Result<()> {
        let address = match &self.pods {
            None => self.service.clone(),
            Some((api, selector)) => {
                let params = ListParams::default().labels(selector).match_any();
                let pods = tokio::time::timeout(PATIENCE, api.list(&params)).await??;
                let addresses: Vec<_> = pods
                    .items
                    .iter()
                    .filter_map(|pod| PodView::of(pod).client_address())
                    .collect();
                anyhow::ensure!(!addresses.is_empty(), "no pods");
                addresses[self.random.random_range(0..addresses.len())].clone()
            }
        };
        self.client = Some(connect(&address).await?);
        Ok(())
    }

    async fn operate(&mut self) {
        let Some(mut client) = self.client.clone() else { return };
        let epoch = self.start.elapsed().as_secs() / EPOCH.as_secs();
        let key = format!("churn/{epoch:06}/{}", self.random.random_range(0..KEYS));
        match self.random.random_range(0..10) {
            0..4 => {
                self.get(&mut client, &key).await;
            }
            4..7 => {
                let value = self.fresh_value();
                let operation = self.begin(Kind::Put, &key, Some(value.clone()), None);
                let answer = tokio::time::timeout(PATIENCE, client.put(key, value, None)).await;
                let outcome = if matches!(answer, Ok(Ok(_))) {
                    Outcome::Ok
                } else {
                    Outcome::Unknown
                };
                self.end(operation, outcome, None);
            }
            _ => {
                if let Some(found) = self.get(&mut client, &key).await {
                    self.swap(&mut client, &key, found).await;
                }
            }
        }
    }

    /// A linearizable read; the outer `None` is a read without an answer.
    async fn get(&mut self, client: &mut Client, key: &str) -> Option<Option<String>> {
        let operation = self.begin(Kind::Get, key, None, None);
        match tokio::time::timeout(PATIENCE, client.get(key, None)).await {
            Ok(Ok(answer)) => {
                let found = answer
                    .kvs()
                    .first()
                    .map(|pair| String::from_utf8_lossy(pair.value()).into_owned());
                self.end(operation, Outcome::Ok, found.clone());
                Some(found)
            }
            // A read without an answer has no effect, and nothing to check.
            _ => {
                self.client = None;
                None
            }
        }
    }

    async fn swap(&mut self, client: &mut Client, key: &str, expected: Option<String>) {
        let value = self.fresh_value();
        let compare = match &expected {
            Some(text) => Compare::value(key, CompareOp::Equal, text.as_str()),
            None => Compare::create_revision(key, CompareOp::Equal, 0),
        };
        let transaction = Txn::new()
            .when([compare])
            .and_then([TxnOp::put(key, value.as_str(), None)]);
        let operation = self.begin(Kind::Cas, key, Some(value), expected);
        let outcome = match tokio::time::timeout(PATIENCE, client.txn(transaction)).await {
            Ok(Ok(answer)) if answer.succeeded() => Outcome::Ok,
            Ok(Ok(_)) => Outcome::Refused,
            _ => Outcome::Unknown,
        };
        self.end(operation, outcome, None);
    }

    fn fresh_value(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.id, self.count)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn begin(&self, kind: Kind, key: &str, value: Option<String>, expected: Option<String>) -> Operation {
        let call = self.now();
        Operation {
            client: self.id,
            kind,
            key: key.to_owned(),
            value,
            expected,
            found: None,
            outcome: Outcome::Unknown,
            call,
            end: call,
        }
    }

    fn end(&mut self, operation: Operation, outcome: Outcome, found: Option<String>) {
        let end = self.now();
        self.history.borrow_mut().operations.push(Operation {
            outcome,
            found,
            end,
            ..operation
        });
        if outcome == Outcome::Unknown {
            // It may still happen: whoever goes on must be somebody else.
            self.client = None;
            self.id = self.identities.get();
            self.identities.set(self.id + 1);
        }
    }
}
