//! Publication of the members in the EtcdCluster's status, where the agent beside the leader fails to do it.
//!
//! That agent publishes each change at once, and needs no decision for it. An agent beside a follower looks at the
//! status once, half a minute after a change that its own etcd shows. What is published correctly by then is not looked
//! at again, so that nothing is read at rest. The deputy publishes what is not.

use muster_reasons::Reason;

use crate::decision::{Action, Draft, Need, Phase};
use crate::deputy::is_deputy;
use crate::ids::{MemberId, Time};
use crate::memory::Memory;
use crate::observed::{EtcdStatus, Freshness, MemberList, Observed, Published};
use crate::timing::{FRESHNESS, RETRY_INTERVAL, TIME_TO_DEPUTISE};
use crate::{deputy, due};

/// Decides whether this agent publishes the members. `None`: it does not, and needs nothing for it.
pub(crate) fn publication(
    observed: &Observed,
    status: &EtcdStatus,
    leads: bool,
    memory: &mut Memory,
    now: Time,
) -> Option<Draft> {
    let since = observed.view_since.filter(|_| !leads)?;
    let published_right = memory.published_as_of.is_some_and(|at| at >= since);
    let tried = memory.publish_tried.is_some_and(|at| now.since(at) < FRESHNESS);
    if published_right || tried || now.since(since) < TIME_TO_DEPUTISE {
        return None;
    }
    let cluster = status.identity.cluster;
    let all = deputy::needs(cluster);
    let published = match observed.published.check(now) {
        // With what the other duties need.
        Freshness::Stale if due::something_is_due(observed) => return Some(Draft::look(all)),
        Freshness::Stale => return Some(Draft::look([Need::Published])),
        Freshness::Failed(_) => return None,
        Freshness::Fresh(published) => published,
    };
    let read_at = observed.published.seen.as_ref().map(|(at, _)| *at)?;
    let leader = status.leader?;
    // Without an EtcdCluster there is nowhere to publish.
    let Some(published) = published else {
        memory.published_as_of = Some(read_at);
        return None;
    };
    if observed
        .local_list
        .as_ref()
        .is_some_and(|list| published.says(list, leader))
    {
        memory.published_as_of = Some(read_at);
        return None;
    }
    let list = match deputy::members(observed, cluster, now) {
        Ok(list) => list,
        Err(look) => return look,
    };
    // An older list may be the one that what is published has replaced.
    if observed
        .list
        .seen
        .as_ref()
        .is_some_and(|(asked_at, _)| *asked_at < read_at)
    {
        return Some(Draft::look(all));
    }
    let live = observed.live(cluster, now);
    if list.cluster != cluster || published.says(list, leader) || !is_deputy(list, &live, status) {
        return None;
    }
    list.members.get(&leader)?;
    memory.publish_tried = Some(now);
    let why = "serves; the members in the EtcdCluster's status are out of date, and the agent beside the leader does not \
               publish them: they are published";
    let draft = Draft::act(Phase::Voter, Reason::PublishingMembers, why, [Action::PublishMembers]);
    Some(draft.within(RETRY_INTERVAL).reading([Need::Published]))
}

impl Published {
    /// True if these members and this leader are published.
    fn says(&self, list: &MemberList, leader: MemberId) -> bool {
        let name = list.members.get(&leader).map(|member| member.name.as_str());
        let published = |list: &MemberList| {
            let members = list.members.iter();
            let told = members.map(|(id, member)| {
                let url = member.peer_urls.first().cloned();
                (*id, member.name.clone(), url, member.learner)
            });
            (list.cluster, told.collect::<Vec<_>>())
        };
        self.leader.as_deref() == name && self.list.as_ref().map(published) == Some(published(list))
    }
}
