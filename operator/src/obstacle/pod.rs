//! The obstacles that a pod's own status tells. No client.

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod, PodCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use muster_api::Reason;

use super::{Obstacle, introduced};

/// States of a container whose image is not there. `ContainerCreating`, for one, passes by itself.
const NO_IMAGE: &[&str] = &[
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    Reason::ImagePullBackOff.name(),
    "InvalidImageName",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];
/// States of a container that is not made or not started.
const NOT_CREATED: &[&str] = &[
    "CreateContainerConfigError",
    Reason::CreateContainerError.name(),
    "RunContainerError",
];
/// Ends of a container that never was started.
const NOT_STARTED: &[&str] = &["ContainerCannotRun", "StartError"];
/// States that take turns with others for one and the same cause: they are not named.
const TURNS: &[&str] = &["ErrImagePull", Reason::ImagePullBackOff.name(), "RunContainerError"];
/// The words before the cause while the kubelet waits to pull an image again.
const BACK_OFF: &str = "Back-off pulling image ";

/// Time for which a pod may be without a node: the scheduler waits for volumes that are being made.
const SCHEDULING: SignedDuration = SignedDuration::from_secs(4);
/// Time for which a container has to run before its last end is of the past. It is the time after which the kubelet
/// forgets, too.
const RELAPSE: SignedDuration = SignedDuration::from_mins(10);

/// Returns the obstacle that the status of a pod tells; none of a pod that is ready.
pub(crate) fn obstacle(pod: &Pod, now: Timestamp) -> Option<Obstacle> {
    if is_ready(pod) {
        return None;
    }
    unscheduled(pod, now).or_else(|| containers(pod).find_map(|container| stuck(container, now)))
}

/// True if Kubernetes counts the pod as ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition_is(pod, "Ready", "True")
}

/// True as long as no container has begun and none tells why: the volumes, or the sandbox, are not there yet.
pub(crate) fn is_being_set_up(pod: &Pod) -> bool {
    let begun = |container: &ContainerStatus| {
        let begun = |state: &ContainerState| state.running.is_some() || state.terminated.is_some();
        container.state.as_ref().is_some_and(begun) || container.last_state.as_ref().is_some_and(begun)
    };
    !condition_is(pod, "PodReadyToStartContainers", "True") && !containers(pod).any(begun)
}

/// True as long as a container has not begun: the kubelet writes why only when it tries again, up to a quarter of a
/// minute later.
pub(crate) fn waits(pod: &Pod) -> bool {
    let waiting = |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.waiting.is_some());
    is_being_set_up(pod) || containers(pod).any(waiting)
}

fn condition_is(pod: &Pod, kind: &str, status: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is = |condition: &PodCondition| condition.type_ == kind && condition.status == status;
    conditions.into_iter().flatten().any(is)
}

/// The pod's containers, those first that the others wait for.
fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let first = status.and_then(|status| status.init_container_statuses.as_ref());
    let others = status.and_then(|status| status.container_statuses.as_ref());
    first.into_iter().chain(others).flatten()
}

fn unscheduled(pod: &Pod, now: Timestamp) -> Option<Obstacle> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled")?;
    let lasts = since(scheduled.last_transition_time.as_ref(), now).is_none_or(|time| time >= SCHEDULING);
    let message = scheduled.message.as_deref().unwrap_or_default();
    (scheduled.status == "False" && lasts).then(|| {
        Obstacle::new(
            Reason::Unschedulable,
            introduced("the scheduler finds no node", message),
        )
    })
}

fn stuck(container: &ContainerStatus, now: Timestamp) -> Option<Obstacle> {
    let state = container.state.as_ref();
    let name = &container.name;
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        if NO_IMAGE.contains(&reason) {
            return Some(told(Reason::ImagePullBackOff, &not_pulled(name), waiting));
        }
        if NOT_CREATED.contains(&reason) {
            let what = format!("container {name} cannot start");
            return Some(told(Reason::CreateContainerError, &what, waiting));
        }
    }
    let ended = last_end(container).filter(|_| !recovered(container, now))?;
    let how = ended.reason.as_deref().unwrap_or("Error");
    if NOT_STARTED.contains(&how) {
        let message = ended.message.as_deref().unwrap_or_default();
        let clause = introduced(&format!("container {name} cannot start"), message);
        return Some(Obstacle::new(Reason::CreateContainerError, clause));
    }
    if how == Reason::OOMKilled.name() {
        let clause = format!("container {name} was killed because it needs more memory than its limit (OOMKilled)");
        return Some(Obstacle::new(Reason::OOMKilled, clause));
    }
    loops(container, ended).then(|| {
        let what = format!(
            "container {name} ends again and again, last with exit code {} ({how})",
            ended.exit_code
        );
        let clause = introduced(&what, ended.message.as_deref().unwrap_or_default());
        Obstacle::new(Reason::CrashLoopBackOff, clause)
    })
}

/// The introduction of the cause for which the image of a container is not there.
pub(super) fn not_pulled(container: &str) -> String {
    format!("the image of container {container} cannot be pulled")
}

/// A state in which a container waits, with the cause that it gives.
fn told(reason: Reason, what: &str, waiting: &ContainerStateWaiting) -> Obstacle {
    let state = waiting.reason.as_deref().filter(|state| !TURNS.contains(state));
    let what = state.map_or_else(|| what.to_owned(), |state| format!("{what}: {state}"));
    Obstacle::new(
        reason,
        introduced(&what, cause(waiting.message.as_deref().unwrap_or_default())),
    )
}

/// The cause in the message of an image that cannot be pulled: while the kubelet waits, the failure of the last try
/// follows the words of the wait. Before Kubernetes 1.32 it does not: then those words are returned.
fn cause(message: &str) -> &str {
    let rest = message.strip_prefix(BACK_OFF).and_then(|rest| rest.split_once("\": "));
    let Some((_, rest)) = rest else { return message };
    match rest.split_once(": ") {
        Some((state, cause)) if NO_IMAGE.contains(&state) => cause,
        _ => rest,
    }
}

/// True if the pod tells only that the kubelet waits until it pulls an image again.
pub(crate) fn lacks_cause(obstacle: &Obstacle) -> bool {
    obstacle.reason == Reason::ImagePullBackOff && obstacle.clause.contains(BACK_OFF)
}

/// The last time that the container ended.
fn last_end(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let end = |state: &Option<ContainerState>| state.as_ref().is_some_and(|state| state.terminated.is_some());
    let state = [&container.state, &container.last_state]
        .into_iter()
        .find(|state| end(state))?;
    state.as_ref()?.terminated.as_ref()
}

/// True if the container has been running for so long that its last end is of the past.
fn recovered(container: &ContainerStatus, now: Timestamp) -> bool {
    let running = container.state.as_ref().and_then(|state| state.running.as_ref());
    running.is_some_and(|running| since(running.started_at.as_ref(), now).is_some_and(|time| time >= RELAPSE))
}

/// True if the container ends again and again. The kubelet says so only while it waits before the next start; a
/// container that ended soon, more than once, is no different while it runs.
fn loops(container: &ContainerStatus, ended: &ContainerStateTerminated) -> bool {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let backs_off = waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some(Reason::CrashLoopBackOff.name()));
    let ran = ended
        .finished_at
        .as_ref()
        .and_then(|end| since(ended.started_at.as_ref(), end.0));
    let soon = ran.is_some_and(|time| time < RELAPSE);
    backs_off || (container.restart_count >= 2 && soon)
}

/// Time from a moment until now.
fn since(moment: Option<&Time>, now: Timestamp) -> Option<SignedDuration> {
    moment.map(|moment| now.duration_since(moment.0))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-11-27T12:00:00Z";

    fn of_status(status: Value) -> Option<Obstacle> {
        let pod = json!({ "metadata": { "name": "db-0" }, "status": status });
        obstacle(&serde_json::from_value(pod).unwrap(), NOW.parse().unwrap())
    }

    fn told_of(status: Value) -> (String, String) {
        let obstacle = of_status(status).unwrap();
        (obstacle.reason.name().to_owned(), obstacle.clause)
    }

    /// The status of a pod whose container etcd is in a state, after some restarts.
    fn etcd(state: Value, restarts: i32, last: Value) -> Value {
        json!({
            "phase": "Running",
            "conditions": [{ "type": "PodScheduled", "status": "True" }, { "type": "Ready", "status": "False" }],
            "initContainerStatuses": [{ "name": "agent", "ready": true, "restartCount": 0, "image": "", "imageID": "",
                "state": { "running": { "startedAt": "2026-11-27T11:00:00Z" } } }],
            "containerStatuses": [{ "name": "etcd", "ready": false, "restartCount": restarts, "image": "",
                "imageID": "", "state": state, "lastState": last }],
        })
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({ "waiting": { "reason": reason, "message": message } })
    }

    fn ended(reason: &str, code: i32, message: Option<&str>) -> Value {
        json!({ "terminated": { "exitCode": code, "reason": reason, "message": message,
            "startedAt": "2026-11-27T11:58:00Z", "finishedAt": "2026-11-27T11:58:10Z" } })
    }

    fn running_since(started: &str) -> Value {
        json!({ "running": { "startedAt": started } })
    }

    #[test]
    fn a_pod_without_a_node_says_what_the_scheduler_says() {
        let message = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.";
        let status = |since: &str| {
            json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": message, "lastTransitionTime": since }] })
        };
        let (reason, clause) = told_of(status("2026-11-27T11:59:50Z"));
        assert_eq!(reason, "Unschedulable");
        assert_eq!(
            clause,
            format!("the scheduler finds no node: {}", message.trim_end_matches('.'))
        );
        assert_eq!(
            of_status(status("2026-11-27T11:59:58Z")),
            None,
            "its volume may be on the way"
        );
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_told_in_the_same_words_at_each_try_and_between() {
        let cause = "failed to resolve reference \"no/such:1\": not found";
        let waits = format!("Back-off pulling image \"no/such:1\": ErrImagePull: {cause}");
        let between = told_of(etcd(waiting("ImagePullBackOff", &waits), 0, json!({})));
        let (reason, clause) = &between;
        assert_eq!(reason, "ImagePullBackOff");
        assert_eq!(
            *clause,
            format!("the image of container etcd cannot be pulled: {cause}")
        );
        assert_eq!(told_of(etcd(waiting("ErrImagePull", cause), 0, json!({}))), between);
    }

    #[test]
    fn an_older_kubelet_does_not_repeat_the_cause_while_it_waits() {
        let waits = waiting("ImagePullBackOff", "Back-off pulling image \"no/such:1\"");
        assert!(lacks_cause(&of_status(etcd(waits, 0, json!({}))).unwrap()));
        let tries = waiting("ErrImagePull", "not found");
        assert!(!lacks_cause(&of_status(etcd(tries, 0, json!({}))).unwrap()));
    }

    #[test]
    fn another_problem_of_an_image_keeps_its_own_word() {
        let (reason, clause) = told_of(etcd(waiting("InvalidImageName", "cannot parse A:b:c"), 0, json!({})));
        assert_eq!(reason, "ImagePullBackOff");
        assert!(
            clause.ends_with("cannot be pulled: InvalidImageName: cannot parse A:b:c"),
            "{clause}"
        );
    }

    #[test]
    fn a_container_that_cannot_start_is_told_in_the_same_words_while_it_is_tried_and_between() {
        let cause = "exec: \"/run/muster/agent\": permission denied: unknown";
        let tried = told_of(etcd(waiting("RunContainerError", cause), 3, json!({})));
        assert_eq!(
            tried,
            (
                "CreateContainerError".into(),
                format!("container etcd cannot start: {cause}")
            )
        );
        let between = etcd(
            waiting("CrashLoopBackOff", "back-off 40s"),
            3,
            ended("StartError", 128, Some(cause)),
        );
        assert_eq!(told_of(between), tried);
        let (reason, clause) = told_of(etcd(
            waiting("CreateContainerConfigError", "secret \"s\" not found"),
            0,
            json!({}),
        ));
        assert_eq!(reason, "CreateContainerError");
        assert!(
            clause.ends_with("CreateContainerConfigError: secret \"s\" not found"),
            "{clause}"
        );
    }

    #[test]
    fn a_crash_loop_is_told_the_same_while_the_container_waits_runs_and_ends() {
        let last = || ended("Error", 2, None);
        let waits = told_of(etcd(waiting("CrashLoopBackOff", "back-off 20s restarting"), 3, last()));
        let sentence = "container etcd ends again and again, last with exit code 2 (Error)";
        assert_eq!(waits, ("CrashLoopBackOff".into(), sentence.into()));
        for state in [
            running_since("2026-11-27T11:58:30Z"),
            last(),
            waiting("ContainerCreating", ""),
        ] {
            assert_eq!(told_of(etcd(state, 3, last())), waits);
        }
    }

    #[test]
    fn one_end_is_no_loop_and_an_end_of_long_ago_is_none_any_more() {
        let last = || ended("Error", 2, None);
        assert_eq!(of_status(etcd(running_since("2026-11-27T11:58:30Z"), 1, last())), None);
        assert_eq!(of_status(etcd(running_since("2026-11-27T11:49:00Z"), 5, last())), None);
        let long = json!({ "terminated": { "exitCode": 255, "reason": "Unknown",
            "startedAt": "2026-11-20T11:58:00Z", "finishedAt": "2026-11-27T11:58:10Z" } });
        let after_an_outage = of_status(etcd(running_since("2026-11-27T11:58:30Z"), 2, long));
        assert_eq!(after_an_outage, None);
    }

    #[test]
    fn a_container_that_was_killed_for_memory_says_so_also_while_it_runs_again() {
        for state in [
            running_since("2026-11-27T11:58:30Z"),
            waiting("CrashLoopBackOff", ""),
            ended("OOMKilled", 137, None),
        ] {
            let (reason, clause) = told_of(etcd(state, 1, ended("OOMKilled", 137, None)));
            assert_eq!(reason, "OOMKilled");
            assert!(clause.contains("memory"), "{clause}");
        }
    }

    #[test]
    fn nothing_is_told_of_a_pod_that_is_ready() {
        let mut status = etcd(running_since("2026-11-27T11:58:30Z"), 7, ended("OOMKilled", 137, None));
        status["conditions"][1]["status"] = json!("True");
        assert_eq!(of_status(status), None);
    }

    #[test]
    fn a_pod_that_is_on_its_way_has_no_obstacle_and_is_being_set_up() {
        let pod = |state: Value| -> Pod {
            serde_json::from_value(json!({ "status": {
                "conditions": [{ "type": "PodScheduled", "status": "True" }],
                "containerStatuses": [{ "name": "etcd", "ready": false, "restartCount": 0, "image": "",
                    "imageID": "", "state": state }] } }))
            .unwrap()
        };
        let now = NOW.parse().unwrap();
        let creating = pod(waiting("ContainerCreating", ""));
        assert_eq!(obstacle(&creating, now), None);
        assert!(is_being_set_up(&creating) && waits(&creating));
        let running = pod(running_since("2026-11-27T11:58:30Z"));
        assert!(!is_being_set_up(&running) && !waits(&running));
        assert_eq!(obstacle(&Pod::default(), now), None);
    }
}
