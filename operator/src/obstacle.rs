//! The obstacle that keeps a pod from running, in Kubernetes' own words. No client.
//!
//! The agent in the pod cannot tell: it does not run yet, or it sees only that etcd's container does not.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Reasons for which a container waits that do not pass by themselves. `ContainerCreating`, for one, does.
const STUCK: &[&str] = &[
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// The clause that completes "db-0: …", if something keeps the pod from running.
pub(crate) fn of(pod: &Pod) -> Option<String> {
    unscheduled(pod).or_else(|| {
        let status = pod.status.as_ref()?;
        let first = status.init_container_statuses.iter().flatten();
        let containers = first.chain(status.container_statuses.iter().flatten());
        containers.filter_map(stuck).next()
    })
}

fn unscheduled(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled")?;
    let no_node = scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable");
    let words = scheduled.message.as_deref().unwrap_or("no node is good for it");
    no_node.then(|| format!("the scheduler finds no node: {}", clause(words)))
}

fn stuck(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting
        .and_then(|waiting| waiting.reason.as_deref())
        .unwrap_or_default();
    let words = waiting
        .and_then(|waiting| waiting.message.as_deref())
        .unwrap_or_default();
    let name = &container.name;
    if STUCK.contains(&reason) {
        let words = if words.is_empty() {
            String::new()
        } else {
            format!(": {}", clause(words))
        };
        return Some(format!("container {name} cannot start: {reason}{words}"));
    }
    let ended = container.last_state.as_ref()?.terminated.as_ref()?;
    let how = ended.reason.as_deref().unwrap_or("Error");
    if how == "OOMKilled" {
        return Some(format!(
            "container {name} was killed because it needs more memory than its limit (OOMKilled)"
        ));
    }
    (reason == "CrashLoopBackOff").then(|| {
        format!(
            "container {name} ends again and again, last with {how}, exit code {}, and Kubernetes waits before it starts it again",
            ended.exit_code
        )
    })
}

/// Words of others as a clause: one line, without a full stop.
fn clause(words: &str) -> String {
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of_status(status: Value) -> Option<String> {
        of(&serde_json::from_value(json!({ "metadata": { "name": "db-0" }, "status": status })).unwrap())
    }

    #[test]
    fn a_pod_without_a_node_says_what_the_scheduler_says() {
        let message = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.";
        let status = json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message },
        ] });
        let said = of_status(status).unwrap();
        assert!(
            said.ends_with("no node: 0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector"),
            "{said}"
        );
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_named_with_its_container() {
        let waiting = json!({ "reason": "ImagePullBackOff", "message": "Back-off pulling image \"no/such:1\"" });
        let status = json!({
            "initContainerStatuses": [{ "name": "agent", "ready": true, "restartCount": 0, "image": "", "imageID": "",
                "state": { "running": {} } }],
            "containerStatuses": [{ "name": "etcd", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                "state": { "waiting": waiting } }],
        });
        let said = of_status(status).unwrap();
        assert_eq!(
            said,
            "container etcd cannot start: ImagePullBackOff: Back-off pulling image \"no/such:1\""
        );
    }

    #[test]
    fn a_container_that_was_killed_for_memory_says_so_also_while_it_runs_again() {
        for state in [
            json!({ "running": {} }),
            json!({ "waiting": { "reason": "CrashLoopBackOff" } }),
        ] {
            let status = json!({ "containerStatuses": [{ "name": "etcd", "ready": false, "restartCount": 3,
                "image": "", "imageID": "", "state": state,
                "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } } }] });
            assert!(of_status(status).unwrap().contains("OOMKilled"));
        }
    }

    #[test]
    fn a_crash_loop_has_the_last_exit_code() {
        let status = json!({ "containerStatuses": [{ "name": "etcd", "ready": false, "restartCount": 3,
            "image": "", "imageID": "", "state": { "waiting": { "reason": "CrashLoopBackOff" } },
            "lastState": { "terminated": { "exitCode": 2, "reason": "Error" } } }] });
        assert!(of_status(status).unwrap().contains("exit code 2"));
    }

    #[test]
    fn a_pod_that_is_on_its_way_has_no_obstacle() {
        let status = json!({
            "conditions": [{ "type": "PodScheduled", "status": "True" }],
            "containerStatuses": [{ "name": "etcd", "ready": false, "restartCount": 1, "image": "", "imageID": "",
                "state": { "waiting": { "reason": "ContainerCreating" } },
                "lastState": { "terminated": { "exitCode": 0, "reason": "Completed" } } }],
        });
        assert_eq!(of_status(status), None);
        assert_eq!(of(&Pod::default()), None);
    }
}
