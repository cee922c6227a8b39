//! The contract of a cluster's StatefulSet: its replicas, the annotations that the operator writes on it, and the
//! number of seats that both together ask for. The operator and every agent read it with these functions.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;

/// Annotation: the operator is shrinking the cluster; see [`Shrink`].
pub const SHRINK: &str = "etcd.etcd.io/shrink";

/// Annotation: the replicas value that the operator last wrote. A StatefulSet
/// with another value was scaled by somebody else.
pub const APPLIED_REPLICAS: &str = "etcd.etcd.io/applied-replicas";

/// Annotation: the EtcdCluster's size when the replicas were written.
pub const APPLIED_SIZE: &str = "etcd.etcd.io/applied-size";

/// Annotation: the fingerprint of the pod plan that the pod template was built from.
pub const POD_PLAN: &str = "etcd.etcd.io/pod-plan";

/// Annotation: the etcd version that the pod template runs.
pub const VERSION: &str = "etcd.etcd.io/version";

/// Every annotation that the operator writes.
pub const ANNOTATIONS: &[&str] = &[APPLIED_REPLICAS, APPLIED_SIZE, SHRINK, POD_PLAN, VERSION];

/// The operator's intention to shrink from one number of seats to a smaller
/// one, written `5->3`. The seats above the target leave while their pods
/// still live. It counts only as long as the StatefulSet's replicas are still
/// `from`: one that was left behind never stands in the way of anybody who
/// scales the StatefulSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shrink {
    from: u32,
    to: u32,
}

/// A text that is not a [`Shrink`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not say from which size to which smaller size, at least 1, the cluster shrinks (as in \"5->3\")")]
pub struct InvalidShrink(String);

impl Shrink {
    /// A shrink between two sizes, if it is one. Nothing shrinks to zero:
    /// pods without replicas hibernate, and no member leaves.
    pub fn new(from: u32, to: u32) -> Option<Self> {
        (to >= 1 && to < from).then_some(Self { from, to })
    }

    /// The replicas for which this counts.
    pub fn from(self) -> u32 {
        self.from
    }

    /// The number of seats that stay.
    pub fn to(self) -> u32 {
        self.to
    }
}

impl fmt::Display for Shrink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.from, self.to)
    }
}

impl FromStr for Shrink {
    type Err = InvalidShrink;

    fn from_str(text: &str) -> Result<Self, InvalidShrink> {
        let sizes = text
            .split_once("->")
            .and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        sizes
            .and_then(|(from, to)| Self::new(from, to))
            .filter(|shrink| shrink.to_string() == text)
            .ok_or_else(|| InvalidShrink(text.to_owned()))
    }
}

/// The replicas of a StatefulSet; 1 where it names none, as Kubernetes fills in.
pub fn replicas(set: &StatefulSet) -> u32 {
    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    u32::try_from(replicas).unwrap_or(0)
}

/// The shrink that is announced on a StatefulSet; none if the annotation is absent or not a [`Shrink`].
pub fn shrink(set: &StatefulSet) -> Option<Shrink> {
    set.annotations().get(SHRINK)?.parse().ok()
}

/// The number of seats that a StatefulSet wants: the seats below this number.
pub fn wanted_seats(replicas: u32, shrink: Option<Shrink>) -> u32 {
    match shrink {
        Some(shrink) if shrink.from == replicas => shrink.to,
        _ => replicas,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shrink_is_read_as_it_is_written() {
        let shrink: Shrink = "5->3".parse().unwrap();
        assert_eq!((shrink.from(), shrink.to()), (5, 3));
        assert_eq!(shrink.to_string(), "5->3");
    }

    #[test]
    fn what_does_not_shrink_is_not_a_shrink() {
        for text in [
            "", "5", "->", "5->", "3->5", "3->3", "3->0", "-1->0", "+5->3", "5 -> 3", "05->3", "5->3->1",
        ] {
            assert!(text.parse::<Shrink>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_shrink_counts_while_replicas_are_what_it_shrinks_from() {
        let shrink = Shrink::new(5, 3);
        assert_eq!(wanted_seats(5, shrink), 3);
        assert_eq!(wanted_seats(5, None), 5);
    }

    #[test]
    fn a_shrink_left_behind_does_not_count() {
        let shrink = Shrink::new(5, 3);
        for replicas in [0, 1, 3, 4, 6, 7] {
            assert_eq!(wanted_seats(replicas, shrink), replicas);
        }
    }
    fn set(replicas: Option<i32>, shrink: Option<&str>) -> StatefulSet {
        let annotations = shrink.map(|shrink| serde_json::json!({ SHRINK: shrink }));
        let set = serde_json::json!({
            "metadata": { "name": "db", "annotations": annotations },
            "spec": { "replicas": replicas, "selector": {}, "template": {} },
        });
        serde_json::from_value(set).unwrap()
    }

    #[test]
    fn replicas_are_read_as_kubernetes_understands_them() {
        assert_eq!(replicas(&set(Some(5), None)), 5);
        assert_eq!(replicas(&set(None, None)), 1);
        assert_eq!(replicas(&StatefulSet::default()), 1);
    }

    #[test]
    fn a_shrink_annotation_that_cannot_be_read_is_none() {
        assert_eq!(shrink(&set(Some(5), Some("5->3"))), Shrink::new(5, 3));
        assert_eq!(shrink(&set(Some(5), Some("nonsense"))), None);
        assert_eq!(shrink(&set(Some(5), None)), None);
    }
}
