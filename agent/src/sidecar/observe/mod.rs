//! Looking: the volume, the launcher and the local etcd every time, the rest when the core needs it.

mod etcd;
mod failed_starts;
mod launcher;
mod peers;
mod read;
mod unread;
mod volume;

use std::collections::BTreeSet;
use std::time::Duration;

use muster_membership::timing::{FRESHNESS, READ_TIMEOUT};
use muster_membership::{MemberId, MemberList, Need, Observed, Reading, Time, Unread, Workload};

use self::read::{merge_reading, read_if};
pub(super) use self::unread::refusal;
use super::agent::{Agent, client_url};
use crate::etcd::LIST_TIMEOUT;
use crate::kubernetes::Slices;

/// Time that one etcd or agent gets to answer. An etcd's answer may come later: it counts at the next look.
const PEER_TIMEOUT: Duration = Duration::from_millis(1_000);
/// Time that a linearizable read and the list after it get.
pub(super) const FENCE_TIMEOUT: Duration = Duration::from_millis(1_750);
/// Time that each port of the local etcd gets that answers without a quorum, when none came as a client sees it.
const STORED_TIMEOUT: Duration = Duration::from_millis(400);
/// Time that the API server gets to answer.
const API_TIMEOUT: Duration = Duration::from_millis(2_200);
/// Time that the etcds and agents get together, which are asked after the API server.
const ETCD_TIMEOUT: Duration = Duration::from_millis(1_800);
// The core's limit for a look: an answer that took longer would be asked for again, without end.
const _: () = assert!(API_TIMEOUT.as_millis() + ETCD_TIMEOUT.as_millis() <= READ_TIMEOUT.as_millis());
// The local etcd's ports are asked one after the other.
const _: () = assert!(PEER_TIMEOUT.as_millis() + 2 * STORED_TIMEOUT.as_millis() <= ETCD_TIMEOUT.as_millis());
const _: () = assert!(PEER_TIMEOUT.as_millis() + LIST_TIMEOUT.as_millis() <= ETCD_TIMEOUT.as_millis());
const _: () = assert!(FENCE_TIMEOUT.as_millis() <= ETCD_TIMEOUT.as_millis());

type View = (Option<MemberId>, Option<MemberList>);

impl Agent {
    /// Looks at everything near, and at what `needs` names.
    pub(crate) async fn observe(&mut self, needs: &BTreeSet<Need>) {
        self.look_at_volume();
        self.hooks.retain(|hook| !hook.is_gone());
        self.observed.hook_waits = !self.hooks.is_empty();
        self.look_at_launcher();
        // Two changes at once may look like none.
        let changed = self.hint.has_changed().unwrap_or(false);
        let hint = *self.hint.borrow_and_update();
        note_hint(&mut self.observed, hint, changed);
        self.observed.replicas = self.workload.replicas();
        self.observed.setback.clone_from(&self.setback);
        let at = self.now();
        let list = needs.iter().find_map(|need| match need {
            Need::List(cluster) => Some(*cluster),
            _ => None,
        });
        let peers = needs.contains(&Need::Peers);
        self.look_at_api_server(at, needs, list.is_some()).await;
        self.look_at_etcd(at, peers, list).await;
        self.forget_failed_starts();
    }

    /// Reads what `needs` names, all at the same time. For a member list, addresses are read if they are old.
    async fn look_at_api_server(&mut self, at: Time, needs: &BTreeSet<Need>, list: bool) {
        let stale = self
            .addresses
            .as_ref()
            .is_none_or(|(read, _)| at.since(*read) > FRESHNESS);
        let wants = |need| needs.contains(&need);
        let addresses = wants(Need::Peers) || (list && stale);
        let (workload, birth, status, published, slices) = tokio::join!(
            read_if(wants(Need::Workload), "StatefulSet", API_TIMEOUT, self.workload.read()),
            read_if(wants(Need::Birth), "birth record", API_TIMEOUT, self.birth.read()),
            // The StatefulSet says whether there is an EtcdCluster at all.
            read_if(wants(Need::StatusCluster), "EtcdCluster", API_TIMEOUT, async {
                self.workload.read().await?;
                self.workload.status_cluster().await
            }),
            read_if(wants(Need::Published), "published members", API_TIMEOUT, async {
                self.workload.read().await?;
                self.workload.published().await
            }),
            read_if(addresses, "EndpointSlices", API_TIMEOUT, self.api.read_slices()),
        );
        merge_reading(&mut self.observed.workload, at, workload);
        merge_reading(&mut self.observed.birth, at, birth);
        merge_reading(&mut self.observed.status_cluster, at, status);
        merge_reading(&mut self.observed.published, at, published);
        if let Some(slices) = slices {
            self.note_slices(at, slices);
        }
    }

    fn note_slices(&mut self, at: Time, slices: Result<Slices, Unread>) {
        match slices {
            Ok(slices) => {
                self.observed.endpoint = Reading::saw(at, slices.own);
                let known: BTreeSet<_> = slices
                    .peers
                    .values()
                    .map(client_url)
                    .chain([self.local_url()])
                    .collect();
                self.requests.retain(|url| known.contains(url));
                self.addresses = Some((at, slices.peers));
            }
            Err(cause) => {
                self.observed.endpoint.fail(at, cause.clone());
                self.observed.peers.fail(at, cause);
                self.addresses = None;
            }
        }
    }
}

/// Notes since when the local etcd has shown the same members and the same leader; `before` is what it showed.
fn note_view(observed: &mut Observed, before: &View, at: Time) {
    let (leader, members) = before;
    if *leader != leader_shown(observed) || *members != observed.local_list {
        observed.view_since = Some(at);
    }
}

/// The members and the leader as the local etcd showed them last.
fn view(observed: &Observed) -> View {
    (leader_shown(observed), observed.local_list.clone())
}

fn leader_shown(observed: &Observed) -> Option<MemberId> {
    observed.local.seen.as_ref().and_then(|(_, status)| status.leader)
}

/// Notes what the watch says of the StatefulSet. A read from before a change is old, however fresh it is.
fn note_hint(observed: &mut Observed, hint: Option<Workload>, changed: bool) {
    if changed || observed.hint != hint {
        observed.hint = hint;
        observed.workload = Reading::default();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use muster_membership::{
        ClusterId, EtcdStatus, Identity, Me, MemberId, MemberList, Observed, Reading, Seat, Time, Wanted, Workload,
    };

    use super::{note_hint, note_view, view};

    #[test]
    fn a_change_that_the_watch_tells_makes_the_last_read_old() {
        let me = Me {
            seat: Seat(4),
            name: "c-4".into(),
            peer_url: "http://c-4.c-peer:2380".into(),
            volume: String::new(),
        };
        let mut observed = Observed::nothing_yet(me, String::new());
        let five = Workload::Wants(Wanted(5));
        observed.hint = Some(five);
        observed.workload = Reading::saw(Time(10), five);
        note_hint(&mut observed, Some(five), false);
        assert_eq!(observed.workload.fresh(Time(20)), Some(&five));
        note_hint(&mut observed, Some(Workload::Wants(Wanted(3))), true);
        assert_eq!(observed.workload, Reading::default());
        // Away and back, between two looks.
        observed.workload = Reading::saw(Time(30), Workload::Wants(Wanted(1)));
        note_hint(&mut observed, Some(Workload::Wants(Wanted(3))), true);
        assert_eq!(observed.workload, Reading::default());
    }

    #[test]
    fn a_change_of_members_or_leader_is_noted_and_an_answer_like_the_last_is_not() {
        let me = Me {
            seat: Seat(1),
            name: "c-1".into(),
            peer_url: "http://c-1.c-peer:2380".into(),
            volume: String::new(),
        };
        let mut observed = Observed::nothing_yet(me, String::new());
        let list = MemberList {
            cluster: ClusterId(1),
            members: BTreeMap::new(),
        };
        let led_by = |leader: u64| EtcdStatus {
            identity: Identity {
                member: MemberId(2),
                cluster: ClusterId(1),
            },
            leader: Some(MemberId(leader)),
            learner: false,
            applied: 0,
        };
        let steps = [
            (10, 1, true, 10),
            (20, 1, true, 10),
            (30, 3, true, 30),
            (40, 3, false, 40),
        ];
        for (at, leader, members, since) in steps {
            let before = view(&observed);
            observed.local = Reading::saw(Time(at), led_by(leader));
            observed.local_list = Some(list.clone()).filter(|_| members);
            note_view(&mut observed, &before, Time(at));
            assert_eq!(observed.view_since, Some(Time(since)));
        }
    }
}
