//! The next look at a cluster whose pods do not all run. No client.
//!
//! Events are not watched, and an obstacle counts only once it lasts. So a cluster with pods that are not ready is
//! looked at again without a cause, less and less often.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::conditions::{READY, previous};
use crate::dereference::ObservedCluster;

/// Shortest and longest pause. Between them it is half the time for which the cluster has not been ready.
const SHORTEST: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(30);

/// Returns the pause until the next look; none if the pods of all `size` seats are ready.
pub(crate) fn next_look(observed: &ObservedCluster, size: u32, now: Timestamp) -> Option<Duration> {
    let runs = |seat: u32| {
        let mut pods = observed.pods.iter();
        pods.any(|pod| pod.seat == seat && pod.ready && !pod.terminating)
    };
    if (0..size).all(runs) {
        return None;
    }
    let ready = previous(&observed.cluster, READY).filter(|ready| ready.status != "True");
    let age = ready.map(|ready| now.duration_since(ready.last_transition_time.0));
    let age = age.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default();
    Some((age / 2).clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use muster_api::Reason;
    use muster_api::cluster::{EtcdCluster, EtcdClusterSpec};
    use muster_api::status::EtcdClusterStatus;

    use super::*;
    use crate::conditions::Finding;
    use crate::dereference::PodView;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A cluster whose seat 0 alone is ready, and that has not been ready since second 0.
    fn observed() -> ObservedCluster {
        let mut cluster = EtcdCluster::new("db", EtcdClusterSpec::of_size(3));
        let ready = Finding::new(READY, false, Reason::Unschedulable, "").condition(&cluster, &Time(at(0)));
        cluster.status = Some(EtcdClusterStatus {
            conditions: vec![ready],
            ..EtcdClusterStatus::default()
        });
        let pod = PodView {
            ready: true,
            ..PodView::default()
        };
        ObservedCluster {
            cluster,
            set: None,
            record: None,
            pods: vec![pod],
            claims: Vec::new(),
            revision: None,
            obstacles: BTreeMap::new(),
        }
    }

    #[test]
    fn a_cluster_is_looked_at_less_and_less_often_while_pods_are_not_ready() {
        let observed = observed();
        let pause = |second: i64| next_look(&observed, 3, at(second)).unwrap();
        assert_eq!(pause(1), SHORTEST);
        assert_eq!(pause(20), Duration::from_secs(10));
        assert_eq!(pause(86_400), LONGEST);
        assert_eq!(pause(-5), SHORTEST, "another clock");
    }

    #[test]
    fn a_cluster_whose_pods_are_ready_is_left_alone() {
        let mut observed = observed();
        assert_eq!(next_look(&observed, 1, at(20)), None);
        assert_eq!(next_look(&observed, 0, at(20)), None);
        observed.pods[0].terminating = true;
        assert!(next_look(&observed, 1, at(20)).is_some());
    }
}
