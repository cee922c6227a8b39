//! The answers of a real API server to evictions.

use serde_json::json;

use super::*;

fn answer_to(status: serde_json::Value) -> Option<Eviction> {
    answer(&serde_json::from_value(status).unwrap())
}

#[test]
fn two_disruption_budgets_are_a_refusal_for_good() {
    let words = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    let status = json!({ "kind": "Status", "status": "Failure", "message": words, "code": 500 });
    assert_eq!(answer_to(status), Some(Eviction::Refused(words.into())));
}

#[test]
fn a_disruption_budget_that_allows_no_disruption_may_allow_it_later() {
    let status = json!({ "status": "Failure", "reason": "TooManyRequests", "code": 429,
        "message": "Cannot evict pod as it would violate the pod's disruption budget.",
        "details": { "causes": [{ "reason": "DisruptionBudget",
            "message": "The disruption budget db needs 2 healthy pods and has 2 currently" }] } });
    let Some(Eviction::NotNow(words)) = answer_to(status) else {
        panic!("it is not told");
    };
    assert!(words.ends_with("budget. The disruption budget db needs 2 healthy pods and has 2 currently"));
}

#[test]
fn a_busy_api_server_and_a_changed_pod_are_no_refusals() {
    for (code, reason) in [(429, "TooManyRequests"), (409, "Conflict"), (404, "NotFound")] {
        let status = json!({ "status": "Failure", "reason": reason, "message": "no", "code": code });
        assert_eq!(answer_to(status), Some(Eviction::Again), "{reason}");
    }
    let broken = json!({ "status": "Failure", "reason": "InternalError", "message": "etcd is away", "code": 500 });
    assert_eq!(answer_to(broken), None);
}

#[test]
fn a_policy_that_denies_evictions_is_a_refusal() {
    let words = "admission webhook \"no.evictions\" denied the request: not on Fridays";
    let status = json!({ "status": "Failure", "reason": "Forbidden", "message": words, "code": 403 });
    assert_eq!(answer_to(status), Some(Eviction::Refused(words.into())));
}
