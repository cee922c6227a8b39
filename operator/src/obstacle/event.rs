//! The obstacles that only Events tell. No client.
//!
//! An Event is of the past: it counts only as long as what it tells of persists, and unless a later one tells of
//! progress. Kubernetes tries again at longer and longer intervals, and drops Events of an object that has many. So an
//! old Event may be the only one, and its age alone says nothing.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use muster_api::Reason;

use super::{Obstacle, introduced, pod};

/// Time after which an Event tells of more than a first try that was too early: just after an object was made, caches
/// of Kubernetes may not have it yet.
const LASTING: SignedDuration = SignedDuration::from_secs(3);
/// Difference of two clocks, and of the second in which a condition's time ends.
const SLACK: SignedDuration = SignedDuration::from_secs(5);
/// The end of the introduction of a StatefulSet's Events.
const FAILED: &str = " failed error: ";
/// The mark of Events that stand for several with different words.
const COMBINED: &str = "(combined from similar events): ";
/// Failures on the way to a pod's first container.
const SETTING_UP: &[(Reason, &str)] = &[
    (Reason::FailedMount, "a volume cannot be mounted"),
    (Reason::FailedAttachVolume, "a volume cannot be attached to the node"),
    (Reason::FailedCreatePodSandBox, "the pod's sandbox cannot be created"),
];
/// Steps after which earlier failures are of the past.
const PROGRESS: &[&str] = &["SuccessfulAttachVolume", "Pulling", "Pulled", "Created", "Started"];
/// Steps after which a container's image was there.
const BEGUN: &[&str] = &["Pulled", "Created", "Started"];
/// Failures of a volume claim. The second is no warning: the claim asks for no class, and there is no default.
const NO_VOLUME: &[&str] = &[Reason::ProvisioningFailed.name(), "FailedBinding"];
/// The introduction of the Event that says of a volume only that it is waited for. Others have the cause.
const AWAITED: &str = "Unable to attach or mount volumes";

/// Returns the obstacle that keeps the StatefulSet from creating a pod, from the Events of the StatefulSet. `since` is
/// the time at which the cluster was whole last.
pub(crate) fn not_created(events: &[Event], pod: &str, since: Option<Timestamp>, now: Timestamp) -> Option<Obstacle> {
    let about = format!("Pod {pod} in StatefulSet ");
    let about = |event: &&Event| event.message.as_ref().is_some_and(|words| words.contains(&about));
    let newest = |reason: &str| {
        let of = events.iter().filter(|event| event.reason.as_deref() == Some(reason));
        of.filter(about).max_by_key(|event| last(event))
    };
    let failed = newest(Reason::FailedCreate.name()).filter(|event| lasts(event, now))?;
    let created = newest("SuccessfulCreate").and_then(last);
    let at = last(failed)?;
    let of_now = since.is_none_or(|since| at >= since - SLACK) && created.is_none_or(|created| at >= created);
    let words = words(failed);
    let cause = words.split_once(FAILED).map_or(words, |(_, cause)| cause);
    of_now.then(|| {
        Obstacle::new(
            Reason::FailedCreate,
            introduced("Kubernetes cannot create the pod", cause),
        )
    })
}

/// Returns the obstacle that keeps a pod from being set up on its node, from the pod's Events.
pub(crate) fn not_set_up(events: &[Event], now: Timestamp) -> Option<Obstacle> {
    let mut vague = None;
    for event in newest_first(events) {
        let word = event.reason.as_deref().unwrap_or_default();
        if PROGRESS.contains(&word) {
            break;
        }
        let trouble = SETTING_UP.iter().find(|(reason, _)| reason.name() == word);
        let Some((reason, what)) = trouble.filter(|_| lasts(event, now)) else {
            continue;
        };
        let told = Obstacle::new(*reason, introduced(what, words(event)));
        if !words(event).starts_with(AWAITED) {
            return Some(told);
        }
        vague = vague.or(Some(told));
    }
    vague
}

/// Returns the obstacle that keeps a volume claim without volume, from the claim's Events.
pub(crate) fn not_provisioned(events: &[Event], claim: &str, now: Timestamp) -> Option<Obstacle> {
    let of = |event: &&Event| event.reason.as_deref().is_some_and(|word| NO_VOLUME.contains(&word));
    let failed = newest_first(events)
        .into_iter()
        .find(of)
        .filter(|event| lasts(event, now))?;
    let what = format!("volume claim {claim} gets no volume");
    Some(Obstacle::new(
        Reason::ProvisioningFailed,
        introduced(&what, words(failed)),
    ))
}

/// Returns the obstacle of an image that could not be pulled, from the pod's Events, in the words that the pod's status
/// has a little later. A container's own progress ends it, and no other's.
pub(crate) fn not_pulled(events: &[Event]) -> Option<Obstacle> {
    newest_first(events).into_iter().find_map(|event| {
        let rest = words(event).strip_prefix("Failed to pull image ")?;
        let (_, cause) = rest.split_once("\": ")?;
        let path = event.involved_object.field_path.as_deref()?;
        let (_, container) = path.trim_end_matches('}').split_once('{')?;
        let later = |other: &Event| {
            let same = other.involved_object.field_path.as_deref() == Some(path);
            same && last(other) > last(event) && other.reason.as_deref().is_some_and(|word| BEGUN.contains(&word))
        };
        let clause = introduced(&pod::not_pulled(container), cause);
        (!events.iter().any(later)).then(|| Obstacle::new(Reason::ImagePullBackOff, clause))
    })
}

fn newest_first(events: &[Event]) -> Vec<&Event> {
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by_key(|event| std::cmp::Reverse(last(event)));
    sorted
}

fn words(event: &Event) -> &str {
    let message = event.message.as_deref().unwrap_or_default();
    message.strip_prefix(COMBINED).unwrap_or(message)
}

fn lasts(event: &Event, now: Timestamp) -> bool {
    first(event).is_none_or(|first| now.duration_since(first) >= LASTING)
}

/// The time at which what the Event tells happened first. Older and newer writers fill different fields.
fn first(event: &Event) -> Option<Timestamp> {
    let micro = event.event_time.as_ref().map(|time| time.0);
    micro.or(event.first_timestamp.as_ref().map(|time| time.0))
}

/// The time at which what the Event tells happened last.
fn last(event: &Event) -> Option<Timestamp> {
    let observed = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    let times = [
        observed.map(|time| time.0),
        event.last_timestamp.as_ref().map(|time| time.0),
        first(event),
    ];
    times.into_iter().flatten().max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-27T{time}Z").parse().unwrap()
    }

    fn event(reason: &str, first: &str, last: &str, message: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": { "name": "e", "namespace": "ns" }, "involvedObject": { "kind": "Pod", "name": "q-0" },
            "type": "Warning", "reason": reason, "message": message, "count": 9, "eventTime": null,
            "firstTimestamp": format!("2026-11-27T{first}Z"), "lastTimestamp": format!("2026-11-27T{last}Z"),
        }))
        .unwrap()
    }

    fn told(obstacle: Option<Obstacle>) -> Option<(&'static str, String)> {
        obstacle.map(|obstacle| (obstacle.reason.name(), obstacle.clause))
    }

    const QUOTA: &str = "create Pod q-0 in StatefulSet q failed error: pods \"q-0\" is forbidden: failed quota: limits: \
                         must specify limits.cpu for: agent";

    #[test]
    fn a_pod_that_is_not_created_says_what_refuses_it() {
        let events = [
            event(
                "SuccessfulCreate",
                "11:59:00",
                "11:59:00",
                "create Claim data-q-0 Pod q-0 in StatefulSet q success",
            ),
            event("FailedCreate", "11:59:00", "11:59:09", QUOTA),
        ];
        let quota = "Kubernetes cannot create the pod: pods \"q-0\" is forbidden: failed quota: limits: must specify \
                     limits.cpu for: agent";
        let told_of = |pod: &str| told(not_created(&events, pod, None, at("12:00:00")));
        assert_eq!(told_of("q-0"), Some(("FailedCreate", quota.to_owned())));
        assert_eq!(told_of("q-1"), None);
        let pod_security = "create Pod q-0 in StatefulSet q failed error: pods \"q-0\" is forbidden: violates \
                            PodSecurity \"restricted:latest\": forbidden AppArmor profile";
        let events = [event("FailedCreate", "11:59:00", "11:59:09", pod_security)];
        let (reason, clause) = told(not_created(&events, "q-0", None, at("12:00:00"))).unwrap();
        assert_eq!(reason, "FailedCreate");
        assert!(clause.contains("violates PodSecurity"), "{clause}");
    }

    #[test]
    fn a_claim_that_is_not_created_keeps_its_pod_from_being_created() {
        let words = "create Claim data-q-0 for Pod q-0 in StatefulSet q failed error: persistentvolumeclaims \
                     \"data-q-0\" is forbidden: exceeded quota: q";
        let events = [event("FailedCreate", "11:59:00", "11:59:09", words)];
        let (_, clause) = told(not_created(&events, "q-0", None, at("12:00:00"))).unwrap();
        assert!(
            clause.ends_with("\"data-q-0\" is forbidden: exceeded quota: q"),
            "{clause}"
        );
    }

    #[test]
    fn a_refusal_counts_neither_before_it_lasts_nor_after_the_pod_was_there() {
        let refused = || event("FailedCreate", "11:59:58", "11:59:59", QUOTA);
        assert_eq!(not_created(&[refused()], "q-0", None, at("12:00:00")), None);
        assert!(not_created(&[refused()], "q-0", None, at("12:00:01")).is_some());
        let made = event(
            "SuccessfulCreate",
            "12:00:20",
            "12:00:20",
            "create Pod q-0 in StatefulSet q successful",
        );
        assert_eq!(not_created(&[refused(), made], "q-0", None, at("12:01:00")), None);
        let whole = |since: &str| not_created(&[refused()], "q-0", Some(at(since)), at("12:01:00")).is_some();
        assert!(whole("12:00:03"), "the pod went, and was not created again");
        assert!(!whole("12:00:30"));
    }

    #[test]
    fn a_volume_is_told_with_its_cause_and_not_with_the_wait_for_it() {
        let cause = "MountVolume.SetUp failed for volume \"pvc-1\" : rpc error: code = Internal desc = no such disk";
        let wait = "Unable to attach or mount volumes: unmounted volumes=[data]: timed out waiting for the condition";
        let events = [
            event(
                "Scheduled",
                "11:58:00",
                "11:58:00",
                "Successfully assigned ns/q-0 to node-1",
            ),
            event("FailedMount", "11:58:10", "11:59:50", cause),
            event("FailedMount", "11:59:52", "11:59:52", wait),
        ];
        let (reason, clause) = told(not_set_up(&events, at("12:00:00"))).unwrap();
        assert_eq!(reason, "FailedMount");
        assert!(
            clause.starts_with("a volume cannot be mounted: MountVolume.SetUp failed"),
            "{clause}"
        );
        let (reason, clause) = told(not_set_up(&events[2..], at("12:00:00"))).unwrap();
        assert_eq!((reason, clause.contains("timed out")), ("FailedMount", true));
    }

    #[test]
    fn a_volume_that_another_node_holds_is_told_until_it_is_attached() {
        let held = event(
            "FailedAttachVolume",
            "11:58:10",
            "11:58:10",
            "Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) q-0",
        );
        assert_eq!(
            told(not_set_up(std::slice::from_ref(&held), at("12:00:00"))).unwrap().0,
            "FailedAttachVolume"
        );
        let attached = event(
            "SuccessfulAttachVolume",
            "11:59:50",
            "11:59:50",
            "AttachVolume.Attach succeeded",
        );
        assert_eq!(not_set_up(&[attached, held], at("12:00:00")), None);
    }

    #[test]
    fn a_sandbox_that_cannot_be_created_is_told_without_its_id() {
        let words =
            |id: &str| format!("Failed to create pod sandbox: failed to setup network for sandbox \"{id}\": no");
        let told_of = |id: &str| {
            not_set_up(
                &[event("FailedCreatePodSandBox", "11:58:10", "11:59:50", &words(id))],
                at("12:00:00"),
            )
        };
        assert_eq!(told_of(&"a1".repeat(32)), told_of(&"b2".repeat(32)));
        assert_eq!(told_of("x").unwrap().reason.name(), "FailedCreatePodSandBox");
    }

    #[test]
    fn a_claim_without_volume_says_why() {
        let words = "storageclass.storage.k8s.io \"nosuch\" not found";
        let events = [
            event(
                "ExternalProvisioning",
                "11:59:50",
                "11:59:55",
                "Waiting for a volume to be created",
            ),
            event("ProvisioningFailed", "11:58:10", "11:59:50", words),
        ];
        let clause = format!("volume claim data-q-0 gets no volume: {words}");
        assert_eq!(
            told(not_provisioned(&events, "data-q-0", at("12:00:00"))),
            Some(("ProvisioningFailed", clause))
        );
        assert_eq!(not_provisioned(&events[..1], "data-q-0", at("12:00:00")), None);
    }

    #[test]
    fn events_of_both_kinds_of_writers_have_times_and_several_in_one_keep_their_words() {
        let newer: Event = serde_json::from_value(json!({
            "metadata": { "name": "e", "namespace": "ns" }, "involvedObject": {}, "reason": "FailedMount",
            "message": format!("{COMBINED}MountVolume.SetUp failed"), "firstTimestamp": null, "lastTimestamp": null,
            "eventTime": "2026-11-27T11:00:00.000000Z",
            "series": { "count": 2, "lastObservedTime": "2026-11-27T11:30:00.000000Z" },
        }))
        .unwrap();
        assert_eq!(
            (first(&newer), last(&newer)),
            (Some(at("11:00:00")), Some(at("11:30:00")))
        );
        let told = not_set_up(&[newer], at("12:00:00")).unwrap();
        assert_eq!(told.clause, "a volume cannot be mounted: MountVolume.SetUp failed");
    }

    #[test]
    fn an_image_is_told_by_events_before_the_pod_tells_it_and_in_the_same_words() {
        let of = |container: &str, reason: &str, at: &str, message: &str| {
            let mut event = event(reason, at, at, message);
            event.involved_object.field_path = Some(container.to_owned());
            event
        };
        let (etcd, agent) = ("spec.containers{etcd}", "spec.initContainers{agent}");
        // All in one second, as on a real node.
        let mut events = vec![
            of(agent, "Started", "11:59:50", "Container started"),
            of(etcd, "Pulling", "11:59:50", "Pulling image \"no/such:1\""),
            of(etcd, "Failed", "11:59:50", "Error: ErrImagePull"),
            of(
                etcd,
                "Failed",
                "11:59:50",
                "Failed to pull image \"no/such:1\": connection refused",
            ),
        ];
        let clause = "the image of container etcd cannot be pulled: connection refused".to_owned();
        assert_eq!(told(not_pulled(&events)), Some(("ImagePullBackOff", clause)));
        events.push(of(agent, "Started", "11:59:55", "Container started"));
        assert!(not_pulled(&events).is_some(), "another container has begun");
        events.push(of(etcd, "Pulled", "11:59:55", "Successfully pulled image"));
        assert_eq!(not_pulled(&events), None);
    }
}
