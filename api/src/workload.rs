//! The contract of a cluster's StatefulSet: its replicas, the annotations that the operator writes on it, and the
//! number of seats that both together ask for. The operator and every agent read it with these functions.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;

/// Annotation: the operator is shrinking the cluster; see [`Shrink`].
pub const SHRINK: &str = "etcd.etcd.io/shrink";

/// Annotation: the StatefulSet's generation for which [`SHRINK`] was written. Each change of the replicas makes another
/// generation, so that a shrink which was left behind never counts again, not even when the replicas are what they
/// were. Without this annotation, a shrink of an earlier release counts for its replicas alone.
pub const SHRINK_GENERATION: &str = "etcd.etcd.io/shrink-generation";

/// Annotation: the operator's question for a member list that is newer than the question. The answer is the same text
/// in the status, `membersConfirmed`, beside the members of such a list.
pub const CONFIRM_MEMBERS: &str = "etcd.etcd.io/confirm-members";

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
pub const ANNOTATIONS: &[&str] = &[
    APPLIED_REPLICAS,
    APPLIED_SIZE,
    SHRINK,
    SHRINK_GENERATION,
    CONFIRM_MEMBERS,
    POD_PLAN,
    VERSION,
];

/// The operator's intention to shrink from one number of seats to a smaller
/// one, written `5->3`. The seats above the target leave while their pods
/// still live. It counts only as long as the StatefulSet's replicas are
/// `from` and have not changed since ([`SHRINK_GENERATION`]): one that was left
/// behind never stands in the way of anybody who scales the StatefulSet.
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

/// The shrink that is announced on a StatefulSet, if it counts.
pub fn shrink(set: &StatefulSet) -> Option<Shrink> {
    let annotations = set.annotations();
    let shrink: Shrink = annotations.get(SHRINK)?.parse().ok()?;
    let written_for = annotations.get(SHRINK_GENERATION).map(|text| text.parse::<i64>());
    let unchanged = match (written_for, set.metadata.generation) {
        (None, _) => true,
        (Some(written_for), Some(generation)) => written_for == Ok(generation),
        (Some(_), None) => false,
    };
    (unchanged && shrink.from == replicas(set)).then_some(shrink)
}

/// The number of seats that a StatefulSet wants: the seats below this number.
pub fn wanted_seats(set: &StatefulSet) -> u32 {
    shrink(set).map_or_else(|| replicas(set), Shrink::to)
}

/// The question for a newer member list, if the operator has asked; see [`CONFIRM_MEMBERS`].
pub fn question(set: &StatefulSet) -> Option<&str> {
    set.annotations().get(CONFIRM_MEMBERS).map(String::as_str)
}

/// The question that the operator asks when no pod above the replicas is left. It is another one after each change of
/// the replicas, and for each StatefulSet.
pub fn question_for(set: &StatefulSet) -> Option<String> {
    let (uid, generation) = (set.metadata.uid.as_ref()?, set.metadata.generation?);
    Some(format!("{uid}/{generation}"))
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

    fn set(replicas: impl Into<Option<i32>>, shrink: Option<&str>) -> StatefulSet {
        let annotations = shrink.map(|shrink| serde_json::json!({ SHRINK: shrink }));
        let set = serde_json::json!({
            "metadata": { "name": "db", "annotations": annotations },
            "spec": { "replicas": replicas.into(), "selector": {}, "template": {} },
        });
        serde_json::from_value(set).unwrap()
    }

    /// A StatefulSet of that generation with a shrink from 5 to 3 that was written for another one, or this.
    fn announced(replicas: i32, generation: Option<i64>, written_for: &str) -> StatefulSet {
        let mut set = set(replicas, Some("5->3"));
        set.metadata.generation = generation;
        let annotations = set.metadata.annotations.as_mut().unwrap();
        annotations.insert(SHRINK_GENERATION.into(), written_for.into());
        set
    }

    #[test]
    fn a_shrink_counts_while_replicas_are_what_it_shrinks_from() {
        assert_eq!(wanted_seats(&set(5, Some("5->3"))), 3);
        assert_eq!(wanted_seats(&announced(5, Some(8), "8")), 3);
        assert_eq!(wanted_seats(&set(5, None)), 5);
    }

    #[test]
    fn a_shrink_left_behind_does_not_count() {
        for replicas in [0, 1, 3, 4, 6, 7] {
            assert_eq!(wanted_seats(&set(replicas, Some("5->3"))), replicas as u32);
            assert_eq!(wanted_seats(&announced(replicas, Some(8), "8")), replicas as u32);
        }
    }

    #[test]
    fn a_shrink_left_behind_does_not_count_when_replicas_are_again_what_they_were() {
        // Two changes of the replicas later: 5, 7, 5.
        assert_eq!(wanted_seats(&announced(5, Some(10), "8")), 5);
        assert_eq!(wanted_seats(&announced(5, Some(8), "nonsense")), 5);
        assert_eq!(wanted_seats(&announced(5, None, "8")), 5);
    }

    #[test]
    fn a_question_is_another_one_after_each_change_of_the_replicas() {
        let set = |uid: &str, generation: i64| {
            let mut set = set(5, None);
            set.metadata.uid = Some(uid.into());
            set.metadata.generation = Some(generation);
            set
        };
        let first = question_for(&set("a", 8));
        assert!(first.is_some());
        assert_eq!(question_for(&set("a", 8)), first);
        assert_ne!(question_for(&set("a", 10)), first);
        assert_ne!(question_for(&set("b", 8)), first);
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

    #[test]
    fn an_annotation_of_another_release_is_read_as_far_as_it_can_be() {
        // A shrink that cannot be read in full does not count: no seat leaves because of it.
        let later = [
            ("etcd.etcd.io/pause", "until noon", 3),
            (SHRINK, "5->3, slowly", 5),
            (SHRINK, "{\"from\": 5, \"to\": 3}", 5),
            (SHRINK_GENERATION, "8/2", 5),
            (CONFIRM_MEMBERS, "v2:uid/8", 3),
            (APPLIED_REPLICAS, "many", 3),
        ];
        for (key, value, wanted) in later {
            let mut set = announced(5, Some(8), "8");
            let annotations = set.metadata.annotations.as_mut().unwrap();
            annotations.insert(key.into(), value.into());
            assert_eq!(wanted_seats(&set), wanted, "{key}: {value}");
            // A question is answered in its own words, whatever they are.
            let asked = (key == CONFIRM_MEMBERS).then_some(value);
            assert_eq!(question(&set), asked, "{key}: {value}");
        }
    }
}
