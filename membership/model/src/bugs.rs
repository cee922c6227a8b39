//! Deliberate bugs, to see that the model finds them. They live here: the core that ships has no switches.
//!
//! Each is a small mistake of the kind that existing operators make, made by changing what the core is
//! told, or by acting in its place.

use clap::ValueEnum;
use muster_membership::{
    Action, Birth, BirthPhase, Decision, EtcdStatus, Identity, Launcher, MemberId, MemberList, Memory, Need, Observed,
    Peer, Phase, Reading, Reason, Seat, StartPlan, Wanted, Workload, decide,
};

use crate::time::NOW;

/// A deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bug {
    /// The hook always means that the seat leaves.
    LeavesOnAnyTermination,
    /// A founder that reaches nobody founds, whatever the record says.
    FoundsWhenPeersAreUnreachable,
    /// An empty volume starts under the ID that its seat has in the list.
    StartsEmptyUnderOldId,
    /// Whoever is listed is taken to be alive.
    TakesListedForAlive,
    /// An API server that does not answer means that the seat is not wanted.
    TakesSilenceForUnwanted,
    /// A volume that has lost its WAL is taken for one that never had any.
    ForgetsItsWal,
    /// Voters that answer this agent are taken to reach each other.
    TakesAnsweringForQuorum,
    /// A removal is asked of any member. Its idea of who is connected is not the leader's.
    AsksAnybodyToRemove,
    /// Data is not started before the API server has answered.
    StartsOnlyWithTheApi,
    /// A volume that is empty waits until somebody has removed the old member of its seat.
    WaitsForItsOldMember,
}

impl Bug {
    /// The words that name the broken invariant in the counterexample.
    #[must_use]
    pub fn breaks(self) -> &'static str {
        match self {
            Self::LeavesOnAnyTermination => "its seat is wanted",
            Self::FoundsWhenPeersAreUnreachable => "one cluster",
            Self::StartsEmptyUnderOldId | Self::ForgetsItsWal => "amnesia",
            Self::TakesListedForAlive | Self::TakesAnsweringForQuorum | Self::AsksAnybodyToRemove => "quorum",
            Self::TakesSilenceForUnwanted => "could not be read",
            Self::StartsOnlyWithTheApi => "data plane",
            Self::WaitsForItsOldMember => "does not become what is wanted",
        }
    }

    /// Decides, with the bug.
    #[must_use]
    pub fn decide(self, o: &Observed, memory: &Memory) -> Decision {
        let mut seen = o.clone();
        match self {
            Self::LeavesOnAnyTermination => {
                if o.hook_waits && o.workload.fresh(NOW).is_some() {
                    seen.workload = unwanted(o.me.seat);
                }
            }
            Self::TakesSilenceForUnwanted => {
                if o.workload.failed.is_some() {
                    seen.workload = unwanted(o.me.seat);
                }
                if o.peers.failed.is_some() {
                    seen.peers = Reading::saw(NOW, Default::default());
                    take_listed_for_alive(&mut seen);
                }
                seen.hint.get_or_insert(Workload::Wants(Wanted(o.me.seat.0.max(1))));
            }
            Self::FoundsWhenPeersAreUnreachable => {
                if let Some(founding) = found_alone(o, memory) {
                    return founding;
                }
            }
            Self::StartsEmptyUnderOldId => {
                let mine = o
                    .list
                    .fresh(NOW)
                    .and_then(|list| list.of(o.me.seat).next().map(|(id, _)| *id));
                if let (Some(member), None) = (mine, o.disk.wal) {
                    let cluster = o.list.fresh(NOW).map(|list| list.cluster);
                    seen.disk.join = cluster.map(|cluster| Identity { member, cluster });
                    forget_start(&mut seen, member);
                }
            }
            Self::ForgetsItsWal => {
                seen.disk.wal_seen = false;
                if let (Some(join), None) = (o.disk.join, o.disk.wal) {
                    forget_start(&mut seen, join.member);
                }
            }
            Self::StartsOnlyWithTheApi => {
                if o.disk.wal.is_some() && o.launcher != Launcher::Running && o.workload.fresh(NOW).is_none() {
                    return wait(memory, Need::Workload, "waiting for the API server");
                }
            }
            Self::WaitsForItsOldMember => {
                let others = |list: &MemberList| list.of(o.me.seat).any(|(id, _)| !mine(o, *id));
                if o.disk.wal.is_none() && o.list.fresh(NOW).is_some_and(others) {
                    return wait(memory, Need::List(None), "waiting for its old member to be removed");
                }
            }
            // This one is in what the shell does.
            Self::AsksAnybodyToRemove => {}
            Self::TakesListedForAlive => take_listed_for_alive(&mut seen),
            Self::TakesAnsweringForQuorum => {
                let leader = o.local.fresh(NOW).and_then(|s| s.leader);
                if let (Some(_), Some((_, peers))) = (leader, &mut seen.peers.seen) {
                    let answers = peers.values_mut().filter_map(|peer| peer.etcd.seen.as_mut());
                    answers.for_each(|(_, status)| status.leader = leader);
                }
            }
        }
        decide(&seen, memory, NOW)
    }
}

fn unwanted(seat: Seat) -> Reading<Workload> {
    Reading::saw(NOW, Workload::Wants(Wanted(seat.0.max(1))))
}

fn forget_start(o: &mut Observed, member: MemberId) {
    if let Some((_, list)) = &mut o.list.seen
        && let Some(member) = list.members.get_mut(&member)
    {
        member.name.clear();
    }
}

fn found_alone(o: &Observed, memory: &Memory) -> Option<Decision> {
    let formed = matches!(
        o.birth.fresh(NOW),
        Some(Some(Birth {
            phase: BirthPhase::Formed,
            ..
        }))
    );
    let alone = o.list.failed.is_some() && o.list.seen.is_none();
    let awaits = matches!(o.launcher, Launcher::AwaitingPlan { .. });
    (formed && alone && awaits && o.disk.wal.is_none() && o.me.seat == Seat(0)).then(|| Decision {
        actions: vec![Action::Start(StartPlan::New { token: o.token.clone() })],
        needs: Default::default(),
        next_check: NOW,
        phase: Some(Phase::Founding),
        reason: Some(Reason::Founding),
        why: "nobody answers: this seat founds".into(),
        memory: memory.clone(),
    })
}

fn mine(o: &Observed, id: MemberId) -> bool {
    o.disk.join.is_some_and(|join| join.member == id)
}

fn wait(memory: &Memory, need: Need, why: &str) -> Decision {
    Decision {
        actions: vec![],
        needs: [need].into(),
        next_check: NOW,
        phase: Some(Phase::Waiting),
        reason: Some(Reason::OlderDataPossible),
        why: why.into(),
        memory: memory.clone(),
    }
}

fn take_listed_for_alive(o: &mut Observed) {
    let Some(list) = o.list.fresh(NOW).cloned() else { return };
    let leader = o.local.fresh(NOW).and_then(|s| s.leader);
    let Some((_, peers)) = &mut o.peers.seen else { return };
    for (id, member) in &list.members {
        let Some(seat) = member.seat.filter(|seat| *seat != o.me.seat) else {
            continue;
        };
        let identity = Identity {
            member: *id,
            cluster: list.cluster,
        };
        let alive = EtcdStatus {
            identity,
            leader,
            learner: member.learner,
            applied: 1_000_000,
        };
        let peer: &mut Peer = peers.entry(seat).or_default();
        peer.etcd = Reading::saw(NOW, alive);
    }
}
