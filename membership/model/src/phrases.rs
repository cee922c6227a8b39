//! Phrases for what an agent does.

use muster_membership::{Action, StartPlan};

use crate::state::Id;

/// The predicate for an action, as in "seat 1 …".
#[must_use]
pub fn action(action: &Action) -> String {
    match action {
        Action::Promote { member } => format!("promotes {}", id(member.0)),
        Action::Remove { member } => format!("removes {}", id(member.0)),
        Action::MoveLeader { to } => format!("hands leadership to {}", id(to.0)),
        Action::AddLearner => "adds itself as a learner".into(),
        Action::ClaimBirth { .. } => "claims the birth record".into(),
        Action::MarkFormed => "notes in the birth record that the cluster has formed".into(),
        Action::RepublishBirth { .. } => "writes the birth record again".into(),
        Action::PublishMembers => "publishes the members".into(),
        Action::Tombstone => "notes that its member was removed".into(),
        Action::NoteWal => "notes that it has seen a WAL".into(),
        Action::Archive(reason) => format!("sets its data aside ({reason})"),
        Action::PruneArchives => "lets older archives go".into(),
        Action::ReleaseHook { .. } => "lets its hook return".into(),
        Action::Start(StartPlan::New { .. }) => "starts etcd (new)".into(),
        Action::Start(StartPlan::Existing { .. }) => "starts etcd (existing)".into(),
        Action::Start(StartPlan::Resume) => "starts etcd (from its data)".into(),
    }
}

fn id(number: u64) -> String {
    Id::from_number(number).map_or_else(|| number.to_string(), |id| id.to_string())
}
