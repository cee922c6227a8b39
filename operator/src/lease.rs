//! One operator at a time, by a Lease.
//!
//! Whether a holder is alive is judged by whether its Lease changes, measured
//! with this process's own clock: clocks of different machines are never
//! compared. Should two operators act for a moment all the same, nothing
//! breaks, since each write that matters carries the version that it read.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::error::said;

/// The Lease's name.
pub const NAME: &str = "muster-operator";

/// A Lease that does not change for this long is free.
const DURATION: Duration = Duration::from_secs(10);
/// How often the holder renews.
const RENEW: Duration = Duration::from_secs(3);
/// How often the others look, and how soon a failed request is repeated.
const LOOK: Duration = Duration::from_secs(1);
/// How long one look, or one renewal, may take: a connection that hangs is given up.
const ANSWER: Duration = Duration::from_secs(2);

/// Takes part in the election.
pub struct Candidate {
    leases: Api<Lease>,
    identity: String,
    seen: Option<Seen>,
}

/// A state of the Lease, and since when it has been that.
#[derive(Debug, Clone)]
struct Seen {
    holder: String,
    renewed: Option<MicroTime>,
    since: Instant,
}

impl Candidate {
    /// A candidate of that name.
    pub fn new(client: Client, namespace: &str, identity: String) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            identity,
            seen: None,
        }
    }

    /// Returns when the Lease is ours.
    pub async fn acquire(&mut self) {
        loop {
            match tokio::time::timeout(ANSWER, self.attempt()).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::warn!(error = said(&error), "cannot take the Lease yet"),
                Err(_) => tracing::warn!("the API server does not answer in time to take the Lease"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Renews the Lease; returns when it is lost.
    pub async fn hold(&mut self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(if renewed.elapsed() < RENEW { RENEW } else { LOOK }).await;
            match tokio::time::timeout(ANSWER, self.attempt()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return,
                Ok(Err(error)) => tracing::warn!(error = said(&error), "cannot renew the Lease"),
                Err(_) => tracing::warn!("the API server does not answer in time to renew the Lease"),
            }
            if renewed.elapsed() > DURATION {
                return;
            }
        }
    }

    /// Gives the Lease back, so that the next operator need not wait.
    pub async fn release(&self) -> kube::Result<()> {
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
    async fn attempt(&mut self) -> kube::Result<bool> {
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
            return Ok(false);
        }
        lease.spec = Some(self.taken(spec));
        settled(self.leases.replace(NAME, &PostParams::default(), &lease).await)
    }

    /// Whether the Lease is ours, free, or has not changed for too long.
    fn may_take(&mut self, spec: &LeaseSpec, now: Instant) -> bool {
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        match &self.seen {
            Some(seen) if seen.holder == holder && seen.renewed == spec.renew_time => {
                now.duration_since(seen.since) > DURATION
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
            lease_duration_seconds: Some(DURATION.as_secs() as i32),
            acquire_time: before.acquire_time.filter(|_| same).or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!same)),
            ..before
        }
    }
}

/// Somebody else was quicker: that is an answer, not a failure.
fn settled(result: kube::Result<Lease>) -> kube::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use kube::client::Body;

    use super::*;

    fn candidate() -> Candidate {
        let service = tower_test::mock::spawn::<hyper::Request<Body>, hyper::Response<Body>>().0;
        Candidate::new(Client::new(service.into_inner(), "default"), "default", "me".into())
    }

    fn held_by(holder: &str, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.into()),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        }
    }

    #[tokio::test]
    async fn a_free_lease_and_our_own_are_taken() {
        let mut candidate = candidate();
        let now = Instant::now();
        assert!(candidate.may_take(&LeaseSpec::default(), now));
        assert!(candidate.may_take(&held_by("", 0), now));
        assert!(candidate.may_take(&held_by("me", 0), now));
    }

    #[tokio::test]
    async fn a_lease_that_changes_is_left_to_its_holder_whatever_its_clock_says() {
        let mut candidate = candidate();
        let start = Instant::now();
        for tick in 0..60 {
            let now = start + Duration::from_secs(tick);
            assert!(!candidate.may_take(&held_by("other", tick as i64), now));
        }
    }

    #[tokio::test]
    async fn a_lease_that_does_not_change_is_taken_after_its_duration() {
        let mut candidate = candidate();
        let start = Instant::now();
        assert!(!candidate.may_take(&held_by("other", 0), start));
        assert!(!candidate.may_take(&held_by("other", 0), start + DURATION));
        assert!(candidate.may_take(&held_by("other", 0), start + DURATION + LOOK));
    }

    #[tokio::test]
    async fn a_renewal_keeps_the_time_of_acquisition() {
        let candidate = candidate();
        let first = candidate.taken(LeaseSpec::default());
        let again = candidate.taken(first.clone());
        assert_eq!(again.acquire_time, first.acquire_time);
        assert_eq!((first.lease_transitions, again.lease_transitions), (Some(1), Some(1)));
        let from_other = candidate.taken(held_by("other", 0));
        assert_eq!(from_other.lease_transitions, Some(1));
    }
}
