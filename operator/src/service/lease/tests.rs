//! The election, with the clock and against an API server that answers from a script.

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
    assert!(!candidate.may_take(&held_by("other", 0), start + LEASE_DURATION));
    assert!(candidate.may_take(&held_by("other", 0), start + LEASE_DURATION + RETRY_PERIOD));
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

/// An API server's answer to a request: a code, and the Lease's holder.
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
    assert!(held >= RENEW_DEADLINE && held < LEASE_DURATION, "{held:?}");
    let renewed = [(Method::GET, 200, "me"), (Method::PUT, 200, "me")];
    let (held, asked) = held_with(&renewed).await;
    assert_eq!(asked, 2);
    assert!(
        held >= RENEW_PERIOD + RENEW_DEADLINE && held < RENEW_PERIOD + LEASE_DURATION,
        "{held:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_somebody_else_is_lost_at_once() {
    let (held, asked) = held_with(&[(Method::GET, 200, "other")]).await;
    assert_eq!(asked, 1);
    assert!(held < RENEW_PERIOD + RETRY_PERIOD, "{held:?}");
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
    assert!(held >= RENEW_PERIOD + RETRY_PERIOD + RENEW_DEADLINE, "{held:?}");
}
