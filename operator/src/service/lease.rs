//! One operator at a time, by a Lease.
//!
//! Whether a holder is alive is judged by whether its Lease changes, measured
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

/// The Lease's name.
pub const NAME: &str = "muster-operator";

/// A Lease that does not change for this long is free.
const DURATION: Duration = Duration::from_secs(15);
/// A holder that could not renew for this long stops: before anybody else may begin.
const DEADLINE: Duration = Duration::from_secs(12);
/// How often the holder renews.
const RENEW: Duration = Duration::from_secs(3);
/// How often the others look, and how soon a failed request is repeated.
const LOOK: Duration = Duration::from_secs(1);
/// How long one attempt, which is two requests, may take: a connection that hangs is given up.
const ANSWER: Duration = Duration::from_secs(4);

/// Takes part in the election.
pub struct Candidate {
    leases: Api<Lease>,
    identity: String,
    seen: Option<Seen>,
}

/// What an attempt to take or renew the Lease came to.
#[derive(Debug)]
enum Attempt {
    /// It is ours.
    Ours,
    /// It is somebody else's.
    Theirs,
    /// It changed meanwhile, perhaps by an attempt of ours that was given up: look again.
    Changed,
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

    /// Returns when the Lease is ours, with the moment since when.
    pub async fn acquire(&mut self) -> Instant {
        loop {
            let began = Instant::now();
            match timeout(ANSWER, self.attempt()).await {
                Ok(Ok(Attempt::Ours)) => return began,
                Ok(Ok(Attempt::Theirs | Attempt::Changed)) => {}
                Ok(Err(error)) => tracing::warn!(error = said(&error), "cannot take the Lease yet"),
                Err(_) => tracing::warn!("the API server does not answer in time to take the Lease"),
            }
            sleep(LOOK).await;
        }
    }

    /// Renews the Lease, which is ours since `renewed`; returns when it is lost.
    ///
    /// Time is counted from when a renewal was asked for, not from its answer, and an attempt ends with the deadline:
    /// whoever waits for the Lease saw it change later than that.
    pub async fn hold(&mut self, mut renewed: Instant) {
        let mut next = renewed + RENEW;
        loop {
            let end = renewed + DEADLINE;
            sleep_until(next.min(end)).await;
            let began = Instant::now();
            if began >= end {
                return;
            }
            match timeout_at(end.min(began + ANSWER), self.attempt()).await {
                Ok(Ok(Attempt::Ours)) => renewed = began,
                Ok(Ok(Attempt::Theirs)) => return,
                Ok(Ok(Attempt::Changed)) => {}
                Ok(Err(error)) => tracing::warn!(error = said(&error), "cannot renew the Lease"),
                Err(_) => tracing::warn!("the API server does not answer in time to renew the Lease"),
            }
            next = if renewed == began {
                began + RENEW
            } else {
                Instant::now() + LOOK
            };
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

/// A conflict is an answer, not a failure.
fn settled(result: kube::Result<Lease>) -> kube::Result<Attempt> {
    match result {
        Ok(_) => Ok(Attempt::Ours),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Changed),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use hyper::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    fn candidate() -> Candidate {
        let service = tower_test::mock::spawn::<Request<Body>, Response<Body>>().0;
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

    /// What an API server says to a request: a code, and the Lease's holder.
    type Answer = (Method, u16, &'static str);

    /// Holds the Lease of an API server that gives these answers, and none after them; returns for how long, and how
    /// many answers were asked for.
    async fn held_with(answers: &[Answer]) -> (Duration, usize) {
        let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let mut candidate = Candidate::new(Client::new(service, "default"), "default", "me".into());
        let mut asked = 0;
        let answering = async {
            for (method, code, holder) in answers {
                let (request, send) = server.next_request().await.unwrap();
                assert_eq!(request.method(), method);
                asked += 1;
                let body = if *code < 300 { lease(holder) } else { refusal(*code) };
                let response = Response::builder().status(*code);
                send.send_response(response.body(Body::from(body.to_string().into_bytes())).unwrap());
            }
            std::future::pending::<()>().await;
        };
        let start = Instant::now();
        tokio::select! {
            () = candidate.hold(start) => {}
            () = answering => {}
        }
        (start.elapsed(), asked)
    }

    fn lease(holder: &str) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": NAME, "resourceVersion": "7" },
            "spec": { "holderIdentity": holder },
        })
    }

    fn refusal(code: u16) -> Value {
        json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": "Conflict" })
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_gets_no_answer_stops_before_others_may_begin() {
        let (held, _) = held_with(&[]).await;
        assert!(held >= DEADLINE && held < DURATION, "{held:?}");
        let renewed = [(Method::GET, 200, "me"), (Method::PUT, 200, "me")];
        let (held, asked) = held_with(&renewed).await;
        assert_eq!(asked, 2);
        assert!(held >= RENEW + DEADLINE && held < RENEW + DURATION, "{held:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_of_somebody_else_is_lost_at_once() {
        let (held, asked) = held_with(&[(Method::GET, 200, "other")]).await;
        assert_eq!(asked, 1);
        assert!(held < RENEW + LOOK, "{held:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_conflict_with_an_own_late_renewal_loses_nothing() {
        let answers = [
            (Method::GET, 200, "me"),
            (Method::PUT, 409, ""),
            (Method::GET, 200, "me"),
            (Method::PUT, 200, "me"),
        ];
        let (held, asked) = held_with(&answers).await;
        assert_eq!(asked, 4);
        assert!(held >= RENEW + LOOK + DEADLINE, "{held:?}");
    }
}
