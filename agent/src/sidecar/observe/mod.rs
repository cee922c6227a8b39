//! Looking: own volume, launcher and etcd every time, the rest when the core needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use muster_api::names::{METRICS_PORT, Names, PEER_PORT};
use muster_membership::timing::{self, FRESHNESS};
use muster_membership::{
    ClusterId, Disk, Identity, Launcher, MemberId, MemberList, Need, Observed, Peer, Reading, Seat, Time, Unread,
    Workload, founding_member_id,
};

use self::peers as report;
use crate::etcd::corruption::tells_of_corruption;
use crate::etcd::{LIST, has_no_leader, stored_list};
use crate::kubernetes::Address;
use crate::sidecar::agent::{Agent, client_url};
use crate::socket::protocol::{Exit, Lock};
use crate::socket::server::Phase;

pub(crate) mod peers;
use crate::volume::{LastGood, Volume};

/// How long a look waits for the answer of one etcd or agent. An etcd's may come later: it counts at the next look.
const PEER: Duration = Duration::from_millis(1_000);
/// How long it waits for a linearizable read and the list after it.
const FENCE: Duration = Duration::from_millis(1_750);
/// How long own etcd's ports may take that answer without a quorum, when it does not answer as a client sees it.
const STORED: Duration = Duration::from_millis(400);
/// How long the API server may take to answer.
const API: Duration = Duration::from_millis(2_200);
/// How long the etcds and agents may take, which are asked after it.
const ETCD: Duration = Duration::from_millis(1_800);
/// What the core allows a look: what took longer would be asked for again, without end.
const _: () = assert!(API.as_millis() + ETCD.as_millis() <= timing::READ_TIMEOUT.as_millis());
/// Own etcd is asked one after the other.
const _: () = assert!(PEER.as_millis() + 2 * STORED.as_millis() <= ETCD.as_millis());
const _: () = assert!(PEER.as_millis() + LIST.as_millis() <= ETCD.as_millis());
const _: () = assert!(FENCE.as_millis() <= ETCD.as_millis());

/// What a read takes on a machine that is not busy, and more: a slower one is told of.
const SLOW: Duration = Duration::from_millis(200);

impl Agent {
    /// Looks at everything near, and at what `needs` names.
    pub(crate) async fn observe(&mut self, needs: &BTreeSet<Need>) {
        self.look_at_volume();
        self.look_at_launcher();
        // Two changes at once may look like none.
        let changed = self.hint.has_changed().unwrap_or(false);
        let hint = *self.hint.borrow_and_update();
        note_hint(&mut self.observed, hint, changed);
        self.observed.replicas = self.workload.replicas();
        self.hooks.retain(|hook| !hook.is_gone());
        self.observed.hook_waits = !self.hooks.is_empty();
        let at = self.now();
        let list = needs.iter().find_map(|need| match need {
            Need::List(cluster) => Some(*cluster),
            _ => None,
        });
        let peers = needs.contains(&Need::Peers);
        let stale = self
            .addresses
            .as_ref()
            .is_none_or(|(read, _)| at.since(*read) > FRESHNESS);
        let (workload, birth, status, slices) = {
            let wants = |need| needs.contains(&need);
            let (reader, store, api) = (self.workload.clone(), &self.birth, self.api.clone());
            tokio::join!(
                given("StatefulSet", API, wants(Need::Workload), reader.read()),
                given("birth record", API, wants(Need::Birth), store.read()),
                // The StatefulSet says whether there is an EtcdCluster at all.
                given("EtcdCluster", API, wants(Need::StatusCluster), async {
                    reader.read().await?;
                    reader.status_cluster().await
                }),
                given(
                    "EndpointSlices",
                    API,
                    peers || (list.is_some() && stale),
                    api.read_slices()
                ),
            )
        };
        settle(&mut self.observed.workload, at, workload);
        settle(&mut self.observed.birth, at, birth);
        settle(&mut self.observed.status_cluster, at, status);
        match slices {
            Some(Ok(slices)) => {
                self.observed.endpoint = Reading::saw(at, slices.own);
                let known: BTreeSet<_> = slices
                    .peers
                    .values()
                    .map(client_url)
                    .chain([self.local_url()])
                    .collect();
                self.questions.retain(|url| known.contains(url));
                self.addresses = Some((at, slices.peers));
            }
            Some(Err(())) => {
                self.observed.endpoint.fail(at, Unread::Silent);
                self.observed.peers.fail(at, Unread::Silent);
                self.addresses = None;
            }
            None => {}
        }
        self.look_at_etcd(at, peers, list).await;
    }

    fn look_at_volume(&mut self) {
        if self.volume.is_none() {
            match Volume::open(&self.config.volume, &self.config.pod, rand::random()) {
                Ok(volume) => self.volume = Some(volume),
                Err(error) => {
                    self.observed.disk = Disk {
                        unreadable: Some(error.to_string()),
                        ..Disk::default()
                    };
                    return;
                }
            }
        }
        let Some(volume) = &self.volume else { return };
        self.observed.me.volume.clone_from(&volume.identity().volume);
        self.observed.disk = disk(volume, &self.observed.me.peer_url);
    }

    fn look_at_launcher(&mut self) {
        let state = self.link.state();
        let before = self.observed.launcher;
        self.observed.launcher = match (state.connected, state.phase) {
            (false, _) | (true, Phase::Unknown) => Launcher::Absent,
            (true, Phase::Idle) if matches!(state.lock, Some(Lock::Taken | Lock::Failed { .. })) => Launcher::Blocked,
            (true, Phase::Idle) => Launcher::Absent,
            (true, Phase::AwaitingPlan) => Launcher::AwaitingPlan {
                corrupt: state.last_exit.as_ref().is_some_and(|exit| self.says_corrupt(exit)),
            },
            (true, Phase::Starting { .. } | Phase::Running { .. }) => Launcher::Running,
        };
        if before == Launcher::Running && self.observed.launcher != Launcher::Running {
            // What was read from the etcd that ended says nothing about the one to come.
            self.observed.local = Reading::default();
            self.observed.local_list = None;
            self.observed.leaderless_since = None;
            self.questions.forget_status(&self.local_url());
            self.forget_list();
        }
    }

    /// etcd could not open data that it opened before, with the same image and settings.
    fn says_corrupt(&self, exit: &Exit) -> bool {
        let known = exit.stderr.iter().any(|line| tells_of_corruption(line));
        let good = self.volume.as_ref().and_then(|v| v.identity().last_good.clone());
        let full = exit.stderr.iter().any(|line| line.contains("no space left on device"));
        known && !full && exit.signal.is_none() && good == Some(self.settings())
    }

    pub(crate) fn settings(&self) -> LastGood {
        LastGood {
            image: self.config.etcd_image.clone(),
            options: self.config.options().unwrap_or_default(),
        }
    }

    async fn look_at_etcd(&mut self, at: Time, peers: bool, list: Option<Option<ClusterId>>) {
        let running = self.observed.launcher == Launcher::Running;
        let addresses = self.known_addresses();
        let local = self.local_url();
        let (etcd, questions, names) = (&self.etcd, &self.questions, &self.names);
        let clock = |asked| self.time(asked);
        let leaderless = self.observed.leaderless_since.is_some();
        let (metrics, peer) = (self.local_host(METRICS_PORT), self.local_host(PEER_PORT));
        let own = async {
            let answer = given("own etcd", ETCD, running, async {
                let (asked, status) = questions.status(&local, PEER).await?;
                let members = if status.0.learner {
                    None
                } else {
                    etcd.list(&local, names).await.ok()
                };
                Ok::<_, crate::etcd::Failure>((asked, status, members))
            });
            match answer.await {
                Some(Err(())) => (
                    Some(Err(())),
                    Some(ask_stored(&metrics, &peer, leaderless, names).await),
                ),
                answer => (answer, None),
            }
        };
        let others = async {
            if !peers {
                return None;
            }
            let clock = &clock;
            let asked = addresses.iter().map(|(seat, address)| async move {
                let url = client_url(address);
                let (status, report) = tokio::join!(
                    watched("a peer's etcd", questions.status(&url, PEER)),
                    watched("a peer's agent", report::fetch(address, PEER))
                );
                let mut peer = Peer {
                    terminating: address.terminating,
                    ..Peer::default()
                };
                match status {
                    Ok((asked, (status, _))) => peer.etcd = Reading::saw(clock(asked), status),
                    Err(_) => peer.etcd.fail(at, Unread::Silent),
                }
                settle(&mut peer.agent, at, Some(report.map_err(drop)));
                (*seat, peer)
            });
            Some(join_all(asked).await.into_iter().collect::<BTreeMap<_, _>>())
        };
        let members = async {
            let expected = list?;
            let mut urls: Vec<String> = addresses.values().map(client_url).collect();
            if running {
                urls.push(local.clone());
            }
            let asked = urls
                .iter()
                .map(|url| questions.fenced_list(url, names, FENCE))
                .collect();
            Some(fenced(asked, expected).await)
        };
        let ((own, stored), others, members) =
            tokio::join!(own, watched("the other seats", others), watched("member list", members));
        match own {
            Some(Ok((asked, (status, version), members))) => {
                self.version = version;
                self.observed.local = Reading::saw(self.time(asked), status);
                if members.is_some() {
                    self.observed.local_list = members;
                }
            }
            Some(Err(())) => self.observed.local.fail(at, Unread::Silent),
            None => {}
        }
        let (no_leader, list) = stored.map_or((None, None), |stored| (stored.no_leader, stored.list));
        if list.is_some() {
            self.observed.local_list = list;
        }
        // By names alone it is not known which pods there are: that says nothing about the seats.
        if let Some(found) = others.filter(|_| self.addresses.is_some()) {
            self.observed.peers = Reading::saw(at, found);
        }
        match members {
            Some(Some((asked, found))) => {
                let asked = self.time(asked);
                // A late one may be older than what another endpoint told already.
                if self.observed.list.seen.as_ref().is_none_or(|(known, _)| asked > *known) {
                    self.observed.list = Reading::saw(asked, found);
                }
            }
            Some(None) => self.observed.list.fail(at, Unread::Silent),
            None => {}
        }
        let status = self.observed.local.fresh(self.now());
        self.observed.leaderless_since = match status.map(|status| status.leader.is_none()).or(no_leader) {
            Some(true) => self.observed.leaderless_since.or(Some(at)),
            Some(false) => None,
            None => self.observed.leaderless_since,
        };
    }

    /// Where the peers are: by the EndpointSlices, or by their names while the API server does not answer.
    fn known_addresses(&self) -> BTreeMap<Seat, Address> {
        if let Some((_, known)) = &self.addresses {
            return known.clone();
        }
        let wanted = match self.observed.hint {
            Some(Workload::Wants(wanted)) => wanted.0,
            _ => 0,
        };
        let listed = self
            .observed
            .local_list
            .iter()
            .flat_map(|list| list.members.values())
            .filter_map(|m| m.seat);
        let seats: BTreeSet<Seat> = (0..wanted.max(9)).map(Seat).chain(listed).collect();
        let domain = self.config.dns_domain();
        seats
            .into_iter()
            .filter(|seat| *seat != self.observed.me.seat)
            .map(|seat| {
                let host = self.names.peer_host(seat.0, &self.config.namespace, &domain);
                (
                    seat,
                    Address {
                        host,
                        terminating: false,
                    },
                )
            })
            .collect()
    }

    /// The client URL of `member`, if it answered lately.
    pub(crate) fn url_of(&self, member: MemberId) -> Option<String> {
        let is_it = |status: &muster_membership::EtcdStatus| status.identity.member == member;
        let now = self.now();
        if self.observed.local.fresh(now).is_some_and(is_it) {
            return Some(self.local_url());
        }
        let (_, peers) = self.observed.peers.seen.as_ref()?;
        let seat = peers
            .iter()
            .find(|(_, peer)| peer.etcd.fresh(now).is_some_and(is_it))
            .map(|(seat, _)| *seat)?;
        self.known_addresses().get(&seat).map(client_url)
    }
}

/// What an etcd tells that serves no clients: it catches up, or has found no leader since it started.
struct Stored {
    /// Whether it knows no leader, if it says so.
    no_leader: Option<bool>,
    /// The list on its disk, while it knows no leader.
    list: Option<MemberList>,
}

async fn ask_stored(metrics: &str, peer: &str, leaderless: bool, names: &Names) -> Stored {
    let no_leader = has_no_leader(metrics, STORED).await;
    let no_leader = no_leader
        .inspect_err(|error| tracing::trace!(%error, "whether etcd knows a leader is not known"))
        .ok();
    if !no_leader.unwrap_or(leaderless) {
        return Stored { no_leader, list: None };
    }
    let list = stored_list(peer, names, STORED).await;
    let list = list.inspect_err(|error| tracing::trace!(%error, "no stored list")).ok();
    Stored { no_leader, list }
}

/// Notes what the watch tells. What was read before it told of a change is old, however fresh.
fn note_hint(observed: &mut Observed, hint: Option<Workload>, changed: bool) {
    if changed || observed.hint != hint {
        observed.hint = hint;
        observed.workload = Reading::default();
    }
}

/// The first fenced list of the expected cluster, or else of any.
async fn fenced<F>(asked: FuturesUnordered<F>, expected: Option<ClusterId>) -> Option<(Instant, MemberList)>
where
    F: Future<Output = Result<(Instant, MemberList), crate::etcd::Failure>>,
{
    let mut asked = asked;
    let mut other = None;
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(found) if expected.is_none_or(|cluster| found.1.cluster == cluster) => return Some(found),
            Ok(found) => other = Some(found),
            Err(error) => tracing::trace!(%error, "no list"),
        }
    }
    other
}

/// Runs `read` of `what` if it is needed.
async fn given<T, E: std::fmt::Display>(
    what: &'static str,
    within: Duration,
    needed: bool,
    read: impl Future<Output = Result<T, E>>,
) -> Option<Result<T, ()>> {
    if !needed {
        return None;
    }
    Some(match watched(what, tokio::time::timeout(within, read)).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::debug!(what, %error, "a read failed");
            Err(())
        }
        Err(_) => Err(()),
    })
}

/// Tells of a slow read.
async fn watched<T>(what: &'static str, read: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let answer = read.await;
    let took = begun.elapsed();
    if took > SLOW {
        tracing::debug!(what, ?took, "a slow read");
    }
    answer
}

fn settle<T>(reading: &mut Reading<T>, at: Time, answer: Option<Result<T, ()>>) {
    match answer {
        Some(Ok(value)) => *reading = Reading::saw(at, value),
        Some(Err(())) => reading.fail(at, Unread::Silent),
        None => {}
    }
}

/// What the core is told about the volume.
fn disk(volume: &Volume, peer_url: &str) -> Disk {
    let identity = volume.identity();
    let join = identity.join.map(|j| Identity {
        member: MemberId(j.member_id),
        cluster: ClusterId(j.cluster_id),
    });
    let (wal, unreadable) = match volume.wal_metadata() {
        Ok(Some(found)) => match volume.is_unborn() {
            // Nobody was told of what is in it, and etcd cannot go on from there.
            Ok(true) => (None, None),
            Ok(false) => {
                let found = Identity {
                    member: MemberId(found.node_id),
                    cluster: ClusterId(found.cluster_id),
                };
                (Some(found), None)
            }
            // A start from it might wait for ever.
            Err(error) => (None, Some(error.to_string())),
        },
        Ok(None) => (None, None),
        // A log whose head is damaged is for etcd to judge; who it belongs to is noted beside it.
        Err(error) => {
            let founded = identity.claim.as_ref().map(|claim| Identity {
                member: founding_member_id(peer_url, &claim.token),
                cluster: ClusterId(claim.cluster_id),
            });
            let known = join.or(founded);
            (known, known.is_none().then(|| error.to_string()))
        }
    };
    let archiving = volume
        .is_archiving()
        .then(|| "data is being set aside, and that could not be finished".to_owned());
    Disk {
        wal,
        join,
        wal_seen: identity.wal_seen,
        leftovers: wal.is_none() && volume.data_dir().join("member").exists(),
        tombstone: identity.tombstone.map(|t| Identity {
            member: MemberId(t.member_id),
            cluster: ClusterId(t.cluster_id),
        }),
        corrupt_before: identity.discarded_corrupt,
        unreadable: unreadable.or(archiving),
    }
}

#[cfg(test)]
mod tests {
    use muster_membership::{Me, Observed, Reading, Seat, Time, Wanted, Workload};

    use super::note_hint;

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
}
