//! The operator's life: wait for the Lease, reconcile while it has it, wait again if it is lost, give it back at the end.
//!
//! A lost Lease does not end the process. What loses it is an API server that is away for longer than the Lease lasts,
//! and each end would make Kubernetes wait longer before the next start, up to five minutes after a few outages in a
//! row (CrashLoopBackOff): just when somebody has to look after the clusters.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::Settings;
use crate::context::Context;
use crate::controller;
use crate::error::said;
use crate::events::recorder::EventRecorder;
use crate::service::http::{self, Vitals};
use crate::service::lease::Candidate;

/// Time that reconciliations which have begun get at the end of the operator, and after them the return of the Lease.
const FINISH: Duration = Duration::from_secs(3);
/// Time for a connection to the API server, its TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which a request has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Silence after which a watch has failed. The API server sends a bookmark about once a minute.
const WATCH_TIMEOUT: Duration = Duration::from_secs(180);
/// Timeout of one question for the API server's version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// The API server's address or the credentials cannot be found, or the port for health and metrics is taken.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let vitals = Arc::new(Vitals::default());
    let stop = stop_signal()?;
    tokio::select! {
        ended = http::serve(settings.listen, vitals.clone()) => ended.map(|_| ()).context("cannot serve health and metrics"),
        ended = operate(settings, vitals, stop) => ended,
    }
}

async fn operate(settings: Settings, vitals: Arc<Vitals>, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut clients = Clients::connect().await?;
    let kubernetes = tokio::select! {
        version = kubernetes_version(&clients.requests) => version,
        () = stopped(stop.clone()) => return Ok(()),
    };
    vitals.ready.store(true, Ordering::Relaxed);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        kubernetes,
        agent_image = settings.agent_image,
        "the operator waits for its Lease"
    );
    loop {
        let mut candidate = Candidate::new(
            clients.requests.clone(),
            &settings.lease_namespace,
            settings.identity.clone(),
        );
        let end = tokio::select! {
            since = candidate.acquire() => {
                tracing::info!(identity = settings.identity, "the operator leads");
                vitals.metrics.lead(true);
                let end = lead(clients, &settings, &vitals, candidate.hold(since), stop.clone()).await;
                vitals.metrics.lead(false);
                end
            }
            () = stopped(stop.clone()) => End::Stopped,
        };
        match end {
            End::Lost => tracing::warn!("the Lease was lost: nothing is done until the operator has it again"),
            End::Stopped => {
                give_back(&candidate).await;
                return Ok(());
            }
        }
        // Connections that an outage left hanging would be tried one after the other: another client has none.
        clients = Clients::connect().await?;
    }
}

/// Two clients of the API server. Neither repeats a request by itself: that would hold up a cluster for minutes after
/// one refused eviction, unseen; what failed is tried again by whoever asked, with a pause that grows.
struct Clients {
    requests: Client,
    watches: Client,
}

impl Clients {
    async fn connect() -> anyhow::Result<Self> {
        let config = Config::infer().await.context("cannot find the API server")?;
        Ok(Self {
            requests: client(config.clone(), REQUEST_TIMEOUT)?,
            watches: client(config, WATCH_TIMEOUT)?,
        })
    }
}

/// A client whose connections end when nothing has come from the API server for `silence` after a request.
fn client(mut config: Config, silence: Duration) -> anyhow::Result<Client> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(REQUEST_TIMEOUT);
    config.read_timeout = Some(silence);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    Client::try_from(config).context("cannot make a client of the API server")
}

/// Lets the next operator begin at once; without this it waits until the Lease has not changed for long enough.
async fn give_back(candidate: &Candidate) {
    match tokio::time::timeout(FINISH, candidate.release()).await {
        Ok(Ok(())) => tracing::info!("the operator does not have the Lease any more and ends"),
        Ok(Err(error)) => tracing::warn!(error = said(&error), "the Lease could not be given back"),
        Err(_) => tracing::warn!("the API server does not answer in time to give the Lease back"),
    }
}

/// The reason why the operator leads no longer.
enum End {
    /// The Lease is somebody else's, or could not be renewed.
    Lost,
    /// The process was told to end.
    Stopped,
}

/// Reconciles as long as the Lease is held. Nothing that was known in an earlier term is used, and a lost Lease ends
/// what has begun at once.
async fn lead(
    clients: Clients,
    settings: &Settings,
    vitals: &Arc<Vitals>,
    lost: impl Future<Output = ()>,
    stop: watch::Receiver<bool>,
) -> End {
    let context = Arc::new(Context {
        events: EventRecorder::new(clients.requests.clone(), &settings.identity),
        client: clients.requests,
        agent_image: settings.agent_image.clone(),
        vitals: vitals.clone(),
        failures: Default::default(),
        refusals: Default::default(),
        dependents: Default::default(),
    });
    let work = controller::run(
        context,
        clients.watches,
        settings.namespace.as_deref(),
        stopped(stop.clone()),
    );
    tokio::pin!(work);
    tokio::select! {
        () = lost => End::Lost,
        () = &mut work => End::Stopped,
        () = stopped(stop) => {
            let _ = tokio::time::timeout(FINISH, work).await;
            End::Stopped
        }
    }
}

/// Waits until the API server answers: ending instead would make Kubernetes
/// wait longer and longer before it starts the operator again.
async fn kubernetes_version(client: &Client) -> String {
    loop {
        match tokio::time::timeout(VERSION_TIMEOUT, client.apiserver_version()).await {
            Ok(Ok(version)) => return version.git_version,
            Ok(Err(error)) => tracing::warn!(error = said(&error), "the API server does not answer yet"),
            Err(_) => tracing::warn!("the API server does not answer in time yet"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Turns true on the first SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
        sender.closed().await;
    });
    Ok(receiver)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which happens only at the end.
    let _ = stop.wait_for(|stopped| *stopped).await;
}
