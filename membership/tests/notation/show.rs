//! Decisions as text.

use muster_membership::*;

/// The decision as text.
pub(crate) fn show(decision: &Decision, now: Time) -> String {
    let mut text = match decision.phase {
        Some(phase) => format!("{phase:?}: {}\n", decision.why),
        None => "(looks)\n".into(),
    };
    if let Some(reason) = decision.reason {
        text.push_str(&format!("  reason {reason}\n"));
    }
    for action in &decision.actions {
        text.push_str(&format!("  do    {}\n", self::action(action)));
    }
    if !decision.needs.is_empty() {
        let needs: Vec<_> = decision.needs.iter().map(need).collect();
        text.push_str(&format!("  read  {}\n", needs.join(", ")));
    }
    match decision.next_check.since(now).as_millis() {
        0 => text.push_str("  again at once\n"),
        after => text.push_str(&format!("  again within {after} ms\n")),
    }
    // The scenarios' IDs are short.
    text.replace("00000000000000", "")
}

fn need(need: &Need) -> String {
    match need {
        Need::Workload => "the StatefulSet".into(),
        Need::Birth => "the birth record".into(),
        Need::StatusCluster => "the EtcdCluster's status".into(),
        Need::Published => "the published members".into(),
        Need::Peers => "the pods".into(),
        Need::List(None) => "a member list".into(),
        Need::List(Some(cluster)) => format!("the member list of {}", short(cluster.0)),
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::ClaimBirth { token, .. } => format!("claim the birth record, token {token}"),
        Action::MarkFormed => "mark the birth record formed".into(),
        Action::RepublishBirth { cluster } => format!("write the birth record again: formed {}", short(cluster.0)),
        Action::Start(StartPlan::New { token }) => format!("start etcd as a new cluster, token {token}"),
        Action::Start(StartPlan::Existing { initial_cluster }) => {
            let members: Vec<_> = initial_cluster
                .iter()
                .map(|(name, url)| format!("{name}={url}"))
                .collect();
            format!("start etcd as a registered member: {}", members.join(","))
        }
        Action::Start(StartPlan::Resume) => "start etcd from its data".into(),
        Action::PublishMembers => "publish the members".into(),
        Action::AddLearner => "add this seat as a learner".into(),
        Action::Promote { member } => format!("promote {}", short(member.0)),
        Action::Remove { member } => format!("remove {}", short(member.0)),
        Action::MoveLeader { to } => format!("hand leadership to {}", short(to.0)),
        Action::Tombstone => "note on the volume: removed".into(),
        Action::NoteWal => "note on the volume: has a WAL".into(),
        Action::Archive(reason) => format!("set the data aside ({reason})"),
        Action::PruneArchives => "older archives may go".into(),
        Action::ReleaseHook { left } => format!("let the hook return, {}", if *left { "left" } else { "not left" }),
    }
}

fn short(id: u64) -> String {
    format!("{id:x}")
}
