//! The operator's life: wait for the Lease, reconcile, give the Lease back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::Settings;
use crate::controller;
use crate::error::said;
use crate::events::Publisher;
use crate::http::{self, Vitals};
use crate::lease::Candidate;
use crate::reconcile::Context;

/// How long reconciliations that have begun may take when the operator ends.
const FINISH: Duration = Duration::from_secs(3);

/// Runs until SIGTERM or SIGINT; fails if the Lease is lost.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let vitals = Arc::new(Vitals::default());
    let stop = stop_signal()?;
    tokio::select! {
        ended = http::serve(settings.listen, vitals.clone()) => ended.map(|_| ()).context("cannot serve health and metrics"),
        ended = operate(settings, vitals, stop) => ended,
    }
}

async fn operate(settings: Settings, vitals: Arc<Vitals>, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let client = Client::try_default().await.context("cannot find the API server")?;
    let kubernetes = tokio::select! {
        version = kubernetes_version(&client) => version,
        () = stopped(stop.clone()) => return Ok(()),
    };
    vitals.ready.store(true, Ordering::Relaxed);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        kubernetes,
        agent_image = settings.agent_image,
        "the operator waits for its Lease"
    );
    let mut candidate = Candidate::new(client.clone(), &settings.lease_namespace, settings.identity.clone());
    tokio::select! {
        () = candidate.acquire() => {}
        () = stopped(stop.clone()) => return Ok(()),
    }
    tracing::info!(identity = settings.identity, "the operator leads");
    vitals.metrics.lead(true);

    let context = Arc::new(Context {
        events: Publisher::new(client.clone(), &settings.identity),
        client,
        agent_image: settings.agent_image,
        vitals: vitals.clone(),
        failures: Default::default(),
        surrounded: Default::default(),
    });
    let lost = {
        let work = controller::run(context, settings.namespace.as_deref(), stopped(stop.clone()));
        tokio::pin!(work);
        tokio::select! {
            () = candidate.hold() => true,
            () = &mut work => false,
            () = stopped(stop) => {
                let _ = tokio::time::timeout(FINISH, work).await;
                false
            }
        }
    };
    vitals.metrics.lead(false);
    anyhow::ensure!(!lost, "the Lease was lost");
    candidate.release().await.context("cannot give the Lease back")?;
    tracing::info!("the operator has given its Lease back and ends");
    Ok(())
}

/// Returns when the API server answers: ending instead would make Kubernetes
/// wait longer and longer before it starts the operator again.
async fn kubernetes_version(client: &Client) -> String {
    loop {
        match client.apiserver_version().await {
            Ok(version) => return version.git_version,
            Err(error) => tracing::warn!(error = said(&error), "the API server does not answer yet"),
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
