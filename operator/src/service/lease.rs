//! One operator at a time, by a Lease.
//!
//! A holder counts as alive as long as its Lease changes, measured
//! with this process's own clock: clocks of different machines are never
//! compared. Should two operators act for a moment all the same, nothing
//! breaks, since each write that matters carries the version that it read.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::error::said;

#[cfg(test)]
mod tests;

pub(crate) const NAME: &str = "muster-operator";

// Kubernetes' own leader election gives the first three these names (client-go, `leaderelection`).

/// A Lease that does not change for this long is free.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A holder that could not renew for this long stops: before anybody else may begin.
const RENEW_DEADLINE: Duration = Duration::from_secs(12);
/// Interval of the holder's renewals.
const RENEW_PERIOD: Duration = Duration::from_secs(3);
/// Interval at which the others look, and pause before a failed request is repeated.
const RETRY_PERIOD: Duration = Duration::from_secs(1);
/// Timeout of one attempt, which is two requests: a connection that hangs is given up.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);

/// Takes part in the election.
pub(crate) struct Candidate {
    leases: Api<Lease>,
    identity: String,
    seen: Option<Seen>,
}

/// The result of an attempt to take or renew the Lease.
#[derive(Debug)]
enum Attempt {
    Ours,
    Theirs,
    /// The Lease changed meanwhile, perhaps by an attempt of ours that was given up: look again.
    Changed,
}

/// A state of the Lease, and the moment at which it was first seen.
#[derive(Debug, Clone)]
struct Seen {
    holder: String,
    renewed: Option<MicroTime>,
    since: Instant,
}

impl Candidate {
    pub(crate) fn new(client: Client, namespace: &str, identity: String) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            identity,
            seen: None,
        }
    }

    /// Waits until the Lease is ours; returns the moment since when.
    pub(crate) async fn acquire(&mut self) -> Instant {
        loop {
            let began = Instant::now();
            match timeout(ATTEMPT_TIMEOUT, self.attempt()).await {
                Ok(Ok(Attempt::Ours)) => return began,
                Ok(Ok(Attempt::Theirs | Attempt::Changed)) => {}
                Ok(Err(error)) => tracing::warn!(error = said(&error), "cannot take the Lease yet"),
                Err(_) => tracing::warn!("the API server does not answer in time to take the Lease"),
            }
            sleep(RETRY_PERIOD).await;
        }
    }

    /// Renews the Lease, which is ours since `renewed`; returns when it is lost.
    ///
    /// Time is counted from when a renewal was asked for, not from its answer, and an attempt ends with the deadline:
    /// whoever waits for the Lease saw it change later than that.
    pub(crate) async fn hold(&mut self, mut renewed: Instant) {
        let mut next = renewed + RENEW_PERIOD;
        loop {
            let end = renewed + RENEW_DEADLINE;
            sleep_until(next.min(end)).await;
            let began = Instant::now();
            if began >= end {
                return;
            }
            match timeout_at(end.min(began + ATTEMPT_TIMEOUT), self.attempt()).await {
                Ok(Ok(Attempt::Ours)) => renewed = began,
                Ok(Ok(Attempt::Theirs)) => return,
                Ok(Ok(Attempt::Changed)) => {}
                Ok(Err(error)) => tracing::warn!(error = said(&error), "cannot renew the Lease"),
                Err(_) => tracing::warn!("the API server does not answer in time to renew the Lease"),
            }
            next = if renewed == began {
                began + RENEW_PERIOD
            } else {
                Instant::now() + RETRY_PERIOD
            };
        }
    }

    /// Gives the Lease back, so that the next operator need not wait.
    ///
    /// # Errors
    /// A request failed.
    pub(crate) async fn release(&self) -> kube::Result<()> {
        let Some(mut lease) = self.leases.get_opt(NAME).await? else {
            return Ok(());
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(self.identity.as_str()) {
            spec.holder_identity = None;
            self.leases.replace(NAME, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    /// Takes or renews the Lease if that is possible now.
    async fn attempt(&mut self) -> kube::Result<Attempt> {
        let Some(mut lease) = self.leases.get_opt(NAME).await? else {
            let metadata = ObjectMeta {
                name: Some(NAME.into()),
                ..ObjectMeta::default()
            };
            let lease = Lease {
                metadata,
                spec: Some(self.taken(LeaseSpec::default())),
            };
            return settled(self.leases.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.take().unwrap_or_default();
        if !self.may_take(&spec, Instant::now()) {
            return Ok(Attempt::Theirs);
        }
        lease.spec = Some(self.taken(spec));
        settled(self.leases.replace(NAME, &PostParams::default(), &lease).await)
    }

    /// True if the Lease is ours, free, or has not changed for too long.
    fn may_take(&mut self, spec: &LeaseSpec, now: Instant) -> bool {
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        match &self.seen {
            Some(seen) if seen.holder == holder && seen.renewed == spec.renew_time => {
                now.duration_since(seen.since) > LEASE_DURATION
            }
            _ => {
                self.seen = Some(Seen {
                    holder,
                    renewed: spec.renew_time.clone(),
                    since: now,
                });
                false
            }
        }
    }

    fn taken(&self, before: LeaseSpec) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let same = before.holder_identity.as_deref() == Some(self.identity.as_str());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(LEASE_DURATION.as_secs() as i32),
            acquire_time: before.acquire_time.filter(|_| same).or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!same)),
            ..before
        }
    }
}

/// A conflict is an answer, not a failure.
fn settled(result: kube::Result<Lease>) -> kube::Result<Attempt> {
    match result {
        Ok(_) => Ok(Attempt::Ours),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Changed),
        Err(error) => Err(error),
    }
}
