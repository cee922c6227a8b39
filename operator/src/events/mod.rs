//! Events of an EtcdCluster: changes, published once. No client; [`recorder`] sends them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};
use muster_api::cluster::EtcdCluster;
use muster_api::reasons::{Place, Reason};

use crate::conditions::{
    DEGRADED, EVEN_SIZE, QUORUM_LOST, READY, SHARED_NODE, STALLED, VERSION_ADVISORY, VERSION_MISMATCH, previous,
};
use crate::plan::size::{SizePlan, SizeStep};

pub(crate) mod recorder;

/// Conditions whose beginning is worth an Event.
const NOTED: &[(&str, EventType)] = &[
    (READY, EventType::Normal),
    (DEGRADED, EventType::Warning),
    (QUORUM_LOST, EventType::Warning),
    (STALLED, EventType::Warning),
    (EVEN_SIZE, EventType::Warning),
    (SHARED_NODE, EventType::Warning),
    (VERSION_ADVISORY, EventType::Warning),
    (VERSION_MISMATCH, EventType::Warning),
];

/// Events for conditions that did not hold before, or hold for another reason.
pub(crate) fn of_conditions(cluster: &EtcdCluster, conditions: &[Condition]) -> Vec<Event> {
    let begun = |condition: &Condition| {
        let before = previous(cluster, &condition.type_);
        let same = |before: &Condition| {
            before.status == "True"
                && before.reason == condition.reason
                && (condition.type_ != STALLED || before.message == condition.message)
        };
        condition.status == "True" && !before.is_some_and(same)
    };
    let noted = |condition: &Condition| {
        NOTED
            .iter()
            .find(|(kind, _)| *kind == condition.type_)
            .map(|(_, type_)| *type_)
    };
    let mut events: Vec<Event> = Vec::new();
    for condition in conditions.iter().filter(|condition| begun(condition)) {
        // Several conditions may begin for one reason.
        let told = events.iter().any(|event| event.reason == condition.reason);
        if let Some(type_) = noted(condition).filter(|_| !told) {
            events.push(named_event(type_, &condition.reason, &condition.message));
        }
    }
    events
}

/// Events for the size that was just written to the StatefulSet. Waiting is none.
pub(crate) fn of_size(plan: &SizePlan) -> Vec<Event> {
    let adopted = plan.adopt.map(|size| {
        let note = format!("The StatefulSet was scaled directly: the cluster's size is now {size}.");
        event(EventType::Normal, Reason::SizeAdopted, &note)
    });
    let type_ = if plan.step == SizeStep::Rescue {
        EventType::Warning
    } else {
        EventType::Normal
    };
    let waits = matches!(
        plan.step,
        SizeStep::Keep | SizeStep::AwaitMembers | SizeStep::AwaitReady
    );
    let step = (!waits).then(|| event(type_, plan.step.reason(), &plan.why));
    adopted.into_iter().chain(step).collect()
}

/// An Event about the EtcdCluster.
pub(crate) fn event(type_: EventType, reason: Reason, note: &str) -> Event {
    debug_assert!(reason.places().contains(&Place::OperatorEvent), "{reason} in an Event");
    named_event(type_, reason.name(), note)
}

/// An Event with the reason of a condition, which is from the same table.
fn named_event(type_: EventType, reason: &str, note: &str) -> Event {
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(muster_api::event_note(note)),
        action: "Reconcile".to_owned(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use muster_api::cluster::EtcdClusterSpec;
    use muster_api::status::EtcdClusterStatus;

    use super::*;
    use crate::conditions::Finding;

    fn condition(kind: &'static str, holds: bool, reason: Reason, message: &str) -> Condition {
        let cluster = EtcdCluster::new("db", EtcdClusterSpec::of_size(1));
        Finding::new(kind, holds, reason, message).condition(&cluster, &Time(Timestamp::UNIX_EPOCH))
    }

    fn reasons(before: &[Condition], after: &[Condition]) -> Vec<String> {
        let mut cluster = EtcdCluster::new("db", EtcdClusterSpec::of_size(1));
        cluster.status = Some(EtcdClusterStatus {
            conditions: before.to_vec(),
            ..EtcdClusterStatus::default()
        });
        of_conditions(&cluster, after)
            .into_iter()
            .map(|event| event.reason)
            .collect()
    }

    #[test]
    fn a_condition_is_told_when_it_begins_and_not_again() {
        let before = condition(QUORUM_LOST, false, Reason::QuorumPresent, "");
        let lost = condition(QUORUM_LOST, true, Reason::QuorumLost, "one");
        let still = condition(QUORUM_LOST, true, Reason::QuorumLost, "two");
        assert_eq!(reasons(&[before], std::slice::from_ref(&lost)), ["QuorumLost"]);
        assert_eq!(reasons(&[], std::slice::from_ref(&lost)), ["QuorumLost"]);
        assert!(reasons(&[lost], &[still]).is_empty());
    }

    #[test]
    fn another_mistake_in_the_spec_is_told_again() {
        let first = condition(STALLED, true, Reason::InvalidSpec, "size 12");
        let second = condition(STALLED, true, Reason::InvalidSpec, "size 13");
        assert_eq!(reasons(&[first], &[second]), ["InvalidSpec"]);
    }

    #[test]
    fn one_reason_of_several_conditions_is_told_once() {
        let lost = [DEGRADED, QUORUM_LOST, STALLED].map(|kind| condition(kind, true, Reason::ClusterLost, "gone"));
        assert_eq!(reasons(&[], &lost), ["ClusterLost"]);
        assert!(reasons(&lost, &lost).is_empty());
    }

    #[test]
    fn a_condition_that_ends_is_not_told() {
        let before = condition(DEGRADED, true, Reason::MembersNotReady, "");
        let after = condition(DEGRADED, false, Reason::AsExpected, "");
        assert!(reasons(&[before], &[after]).is_empty());
    }

    #[test]
    fn waiting_is_not_an_event() {
        let plan = SizePlan {
            step: SizeStep::AwaitMembers,
            adopt: None,
            size: 1,
            replicas: 3,
            shrink: None,
            why: String::new(),
        };
        assert!(of_size(&plan).is_empty());
        let adopted = of_size(&SizePlan {
            step: SizeStep::Keep,
            adopt: Some(5),
            ..plan
        });
        assert_eq!(adopted.len(), 1);
    }
}
