//! The reasons: one word, from this table alone, for each thing that is told of a cluster.
//!
//! A sentence is for people and may change; its reason is for machines, and is part of the
//! interface. Conditions, Events, `status.seats` and metrics all take their words from here, and
//! the list in `docs/operations.md` is made from here. The crate has no dependency, so that the membership
//! core, which knows no Kubernetes, and the API types, which know nothing else, share it.

use std::fmt;

/// A place where a reason is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `status.seats[].reason`, an agent's `/status`, and its metric.
    Seat,
    /// An Event written by an agent.
    AgentEvent,
    /// An Event written by the operator.
    OperatorEvent,
    /// A condition of the EtcdCluster.
    Condition,
}

macro_rules! reasons {
    ($( $name:ident: $($place:ident)+, $meaning:literal; )+) => {
        /// The cause of something that is told, in one word of low cardinality.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $( #[doc = $meaning] $name, )+
        }

        impl Reason {
            /// Every reason, by name.
            pub const ALL: &[Self] = &[ $( Self::$name, )+ ];

            /// The word itself, in CamelCase as Kubernetes writes reasons.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )+ }
            }

            /// The places that tell it.
            #[must_use]
            pub fn places(self) -> &'static [Place] {
                match self { $( Self::$name => &[ $( Place::$place, )+ ], )+ }
            }

            /// The meaning, in one sentence for `docs/operations.md`.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $( Self::$name => $meaning, )+ }
            }
        }
    };
}

reasons! {
    ApiServerRefused: Seat, "The API server refuses a read that the next step needs.";
    ApiServerSilent: Seat, "The API server does not answer a read that the next step needs.";
    ApiServerUnreadable: Seat, "The API server's answer, or an object in it, cannot be decoded.";
    AsExpected: Condition, "Nothing is out of order.";
    AwaitingMembers: Seat, "The leader's agent waits for other members to join or leave by themselves.";
    AwaitingTurn: Seat, "A higher seat leaves first.";
    BirthRecordDamaged: Seat Condition OperatorEvent, "The birth record holds a value that cannot be read.";
    BirthRecordMissing: Seat Condition OperatorEvent, "The birth record is missing.";
    BirthRecordRestored: AgentEvent, "The birth record was missing and was written again.";
    CatchingUp: Seat, "The learner receives the log and is not close enough to the leader yet.";
    ClusterLost: Seat AgentEvent Condition OperatorEvent, "No volume of the wanted seats holds the cluster's data.";
    CorruptData: Seat, "etcd cannot open the data on the volume.";
    CorruptDataSetAside: AgentEvent, "Data that etcd could not open was moved to the archive.";
    CrashLoopBackOff: Condition OperatorEvent, "A container of a pod ends again and again.";
    CreateContainerError: Condition OperatorEvent, "A container of a pod cannot be created or started.";
    Creating: Condition OperatorEvent, "The StatefulSet is created, or the cluster is not formed yet.";
    DataSetAside: AgentEvent, "Data that must not start again was moved to the archive.";
    EtcdDoesNotStart: Seat Condition, "etcd ends before it serves, again and again in the same way.";
    EtcdNotAnswering: Seat, "etcd runs and does not answer at the moment.";
    EtcdStarting: Seat, "etcd has started and does not answer yet.";
    EvenSize: Condition OperatorEvent, "An even size tolerates no more failures than the odd size below it.";
    EvictingLearner: Seat, "A learner without progress is removed, so that others can join.";
    EvictionRefused: Condition OperatorEvent, "A pod is to be replaced, and the API server refuses its eviction.";
    FailedAttachVolume: Condition OperatorEvent, "A volume cannot be attached to a pod's node.";
    FailedCreate: Condition OperatorEvent, "Kubernetes cannot create a pod: a quota, an admission policy or Pod Security refuses it.";
    FailedCreatePodSandBox: Condition OperatorEvent, "A node cannot set a pod up, for example its network.";
    FailedMount: Condition OperatorEvent, "A volume of a pod cannot be mounted.";
    ForeignObject: Condition OperatorEvent, "An object with a name that the cluster needs belongs to somebody else.";
    Formed: AgentEvent, "The cluster is formed: its first member serves.";
    Founding: Seat AgentEvent, "The seat starts the cluster as its first member.";
    Growing: Condition OperatorEvent, "Replicas are raised to the size.";
    Hibernated: Condition, "The size is 0: there are no pods; volume claims keep the data, ephemeral storage does not.";
    Hibernating: Condition OperatorEvent, "The size is 0 and the pods end; no member leaves.";
    ImagePullBackOff: Condition OperatorEvent, "An image of a pod cannot be pulled.";
    InvalidSpec: Condition OperatorEvent, "The spec holds something that cannot work; the message names the field.";
    Joining: Seat AgentEvent Condition, "A seat is being added to the cluster.";
    KnownDefects: Condition OperatorEvent, "The etcd version has defects that matter here.";
    LeaderNotAnswering: Seat, "The leader does not answer, so how far the learner is behind is not known.";
    LearnerEvicted: AgentEvent, "A learner without progress was removed; its seat may join again.";
    LearnerSlotTaken: Seat, "Another seat is joining, and etcd has one place for learners.";
    Leaving: Seat AgentEvent Condition, "A member of an unwanted seat is being removed.";
    Left: Seat AgentEvent, "The seat is not wanted, and its member is removed.";
    MemberRemoved: Seat AgentEvent, "A member was removed from the cluster.";
    MemberReplaced: AgentEvent, "The member of a lost volume was removed, so that its seat can join again.";
    MembersNotReady: Condition OperatorEvent, "Members that should serve are not ready.";
    MembersReady: Condition OperatorEvent, "All wanted members vote and are ready.";
    MembersShareNode: Condition OperatorEvent, "Several members run on one node, whose loss costs them all.";
    MovingLeader: Seat, "Leadership is handed to another member first.";
    NameNotPublished: Seat, "The pod's name is not in the EndpointSlice yet.";
    NoMemberAnswers: Seat, "No member of the cluster answers a linearizable read.";
    NoQuorum: Seat AgentEvent, "etcd has no leader: fewer members than a quorum answer.";
    OOMKilled: Condition OperatorEvent, "A container of a pod was killed because it needs more memory than its limit.";
    OlderDataPossible: Seat, "The cluster is not founded as long as older data may exist.";
    PodEnding: Seat, "The pod ends and its seat stays a member.";
    PodReplaced: OperatorEvent, "A pod was evicted, because the pod template changed.";
    Promoted: Seat AgentEvent, "The learner has caught up and votes.";
    Promoting: Seat, "A learner that has caught up is being promoted.";
    ProvisioningFailed: Condition OperatorEvent, "A volume claim gets no volume.";
    PublishingMembers: Seat, "The members are published for the agent beside the leader, which does not do it.";
    QuorumAtRisk: Seat, "A step waits, because too few voters answer for the quorum to be safe after it.";
    QuorumBack: AgentEvent, "The seat sees a quorum again.";
    QuorumLost: Condition OperatorEvent, "No seat that is left sees a quorum.";
    QuorumPresent: Condition, "The cluster serves.";
    Refused: AgentEvent, "The seat does not start what is on its volume until somebody decides.";
    RefusedByEtcd: Seat, "etcd refused the last request to change the membership.";
    RefusedByKubernetes: Condition OperatorEvent, "The API server refused an object for what it contains.";
    RemovingMember: Seat, "The member of an unwanted seat is being removed by another agent.";
    ReplacingMember: Seat, "The member of a lost volume is removed before its seat joins again.";
    Rescuing: Condition OperatorEvent, "The quorum is lost, and replicas are raised to bring it back.";
    Resumed: AgentEvent, "The seat serves again from the data on its volume.";
    Resuming: Seat, "etcd starts from the data on its volume.";
    SeatNotWanted: Seat, "The StatefulSet does not want the seat.";
    SeatRefused: Condition OperatorEvent, "A seat does not start what is on its volume until somebody decides.";
    SecondCluster: Seat, "A second cluster would be founded: the record says nothing of one that is known.";
    Serving: Seat, "The member serves.";
    ShrinkCompleted: OperatorEvent, "The unwanted members are gone, and replicas are lowered.";
    ShrinkStarted: OperatorEvent, "The shrink is announced: members leave first, pods end afterwards.";
    ShrinkWaiting: Condition, "A shrink waits until the seats that stay are ready.";
    Shrinking: Condition, "Members leave before the pods end.";
    SizeAdopted: OperatorEvent, "The StatefulSet was scaled directly, and its replicas became the size.";
    Steady: Condition, "The cluster has the pods that its size asks for.";
    Unknown: Condition, "Nobody can say.";
    UnreadableObject: Condition OperatorEvent, "This release cannot read the EtcdCluster; the message names the field.";
    Unschedulable: Condition OperatorEvent, "The scheduler finds no node for a pod.";
    Updating: Condition, "Pods are replaced one at a time, because the pod template changed.";
    VersionMismatch: Condition OperatorEvent, "A pod of the present template runs another etcd version than the cluster's.";
    VolumeLockFailed: Seat, "The lock on the volume cannot be taken: the volume cannot be written.";
    VolumeLocked: Seat, "Another pod of the seat holds the volume.";
    VolumeLost: Seat, "The log that was on the volume is gone: the seat joins as new.";
    VolumeUnreadable: Seat, "The volume cannot be read.";
    WaitingForDeletion: Condition, "An object of an earlier cluster is still being deleted.";
    WaitingForEtcdContainer: Seat, "The etcd container has not started yet.";
    WaitingForFounder: Seat, "Another seat founds the cluster first.";
    Waking: Condition OperatorEvent, "The cluster wakes: its pods are created again.";
    WritingBirthRecord: Seat, "The birth record is to say that the cluster is formed.";
    WrongCluster: Seat, "The volume holds data of another cluster.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_in_order_and_in_camel_case() {
        let names: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert!(names.is_sorted());
        for name in names {
            assert!(name.starts_with(|letter: char| letter.is_ascii_uppercase()), "{name}");
            assert!(name.chars().all(|letter| letter.is_ascii_alphabetic()), "{name}");
        }
    }

    #[test]
    fn a_meaning_is_a_sentence() {
        for reason in Reason::ALL {
            assert!(reason.meaning().ends_with('.'), "{reason}");
            assert!(!reason.places().is_empty(), "{reason}");
        }
    }
}
