//! The invariants once more, in terms of what was observed, and without the core's guards.

use std::collections::BTreeSet;

use muster_membership::*;

use crate::arbitrary::NOW;

/// The value of a read that was answered within the last five seconds, and has not failed since.
fn lately<T>(reading: &Reading<T>) -> Option<&T> {
    let (at, value) = reading.seen.as_ref()?;
    let in_time = at.0 + 5_000 >= NOW.0;
    let failed_since = reading.failed.as_ref().is_some_and(|(failed, _)| failed >= at);
    (in_time && !failed_since).then_some(value)
}

fn ensure(holds: bool, why: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.to_owned()) }
}

/// Checks every action of `decision` against what was observed.
pub(crate) fn check(o: &Observed, m: &Memory, decision: &Decision) -> Result<(), String> {
    let seen = Seen { o, m };
    for (i, action) in decision.actions.iter().enumerate() {
        let before = &decision.actions[..i];
        seen.action(action, before)
            .map_err(|why| format!("{}: {why}", name(action)))?;
    }
    Ok(())
}

struct Seen<'a> {
    o: &'a Observed,
    m: &'a Memory,
}

impl Seen<'_> {
    fn wanted(&self) -> Option<u32> {
        match lately(&self.o.workload)? {
            Workload::Wants(Wanted(n)) => Some(*n),
            _ => None,
        }
    }

    fn wants_me(&self) -> bool {
        self.wanted().is_some_and(|n| self.o.me.seat.0 < n)
    }

    fn statuses(&self) -> impl Iterator<Item = &EtcdStatus> {
        let peers = self.o.peers.seen.iter().flat_map(|(_, peers)| peers.values());
        peers.filter_map(|peer| lately(&peer.etcd)).chain(lately(&self.o.local))
    }

    fn answers(&self, member: MemberId, cluster: ClusterId) -> bool {
        self.statuses()
            .any(|s| s.identity.member == member && s.identity.cluster == cluster)
    }

    /// The most voters other than `without` that follow one leader.
    fn together(&self, list: &MemberList, without: Option<MemberId>) -> usize {
        let leaders: BTreeSet<_> = self.statuses().filter_map(|s| s.leader).collect();
        let follow = |leader| {
            let ids: BTreeSet<_> = self
                .statuses()
                .filter(|s| s.identity.cluster == list.cluster && s.leader == Some(leader))
                .map(|s| s.identity.member)
                .filter(|id| Some(*id) != without && list.members.get(id).is_some_and(|x| !x.learner))
                .collect();
            ids.len()
        };
        leaders.into_iter().map(follow).max().unwrap_or(0)
    }

    fn waits_for_plan(&self) -> bool {
        matches!(self.o.launcher, Launcher::AwaitingPlan { .. })
    }

    /// The cluster that this seat belongs to, by its data, or by the record.
    fn my_cluster(&self) -> Option<ClusterId> {
        if self.o.launcher == Launcher::Running {
            return lately(&self.o.local).map(|s| s.identity.cluster);
        }
        match self.o.disk.wal {
            Some(wal) => Some(wal.cluster),
            None => lately(&self.o.birth)?.as_ref()?.cluster,
        }
    }

    /// A fenced list of this seat's cluster.
    fn list(&self) -> Result<&MemberList, String> {
        let list = lately(&self.o.list).ok_or("no fenced list")?;
        ensure(Some(list.cluster) == self.my_cluster(), "the list is another cluster's")?;
        Ok(list)
    }

    fn formed(&self) -> bool {
        let birth = lately(&self.o.birth).and_then(|b| b.as_ref());
        birth.is_some_and(|b| b.phase == BirthPhase::Formed && b.cluster.is_some() && b.cluster != b.abandoned)
    }

    fn action(&self, action: &Action, before: &[Action]) -> Result<(), String> {
        match action {
            Action::AddLearner => self.add(),
            Action::Remove { member } => self.remove(*member),
            Action::Promote { member } => self.promote(*member),
            Action::ClaimBirth { .. } => self.claim(),
            Action::MarkFormed | Action::RepublishBirth { .. } => self.record(action),
            Action::PublishMembers => self.publish(),
            Action::Start(plan) => self.start(plan),
            Action::Archive(reason) => self.archive(*reason),
            Action::MoveLeader { to } => self.move_leader(*to),
            Action::Tombstone => self.tombstone(before),
            Action::NoteWal => ensure(self.o.disk.wal.is_some(), "there is no WAL"),
            Action::PruneArchives => {
                let status = lately(&self.o.local).ok_or("the local etcd does not answer")?;
                ensure(!status.learner, "the successor has no vote yet")
            }
            Action::ReleaseHook { left } => self.release(*left, before),
        }
    }

    /// The seat of a member: what runs here is of this seat, whatever its URL says.
    fn seat_of(&self, id: MemberId, member: &Member) -> Result<Seat, String> {
        let running = self.o.launcher == Launcher::Running;
        let mine = running && lately(&self.o.local).is_some_and(|s| s.identity.member == id);
        let seat = if mine { Some(self.o.me.seat) } else { member.seat };
        seat.ok_or_else(|| "it belongs to no seat of ours".to_owned())
    }

    fn add(&self) -> Result<(), String> {
        let list = self.list()?;
        ensure(self.waits_for_plan(), "etcd does not wait for a plan")?;
        ensure(self.wants_me(), "the seat is not wanted for certain")?;
        ensure(self.formed(), "the record does not say formed")?;
        ensure(!self.o.container_ends, "the pod is ending")?;
        ensure(
            self.o.disk.wal.is_none() && !self.o.disk.wal_seen,
            "the volume had data",
        )?;
        ensure(
            lately(&self.o.endpoint) == Some(&Endpoint::Published),
            "the name is not published",
        )?;
        ensure(
            list.of(self.o.me.seat).next().is_none(),
            "the seat has a member already",
        )
    }

    /// Invariants 3, 4 and 5.
    fn remove(&self, target: MemberId) -> Result<(), String> {
        let list = self.list()?;
        let member = list.members.get(&target).ok_or("it is not listed")?;
        let wanted = self.wanted().filter(|n| *n > 0).ok_or("who is wanted is not known")?;
        let seat = self.seat_of(target, member)?;
        let answers = self.answers(target, list.cluster);
        if seat.0 < wanted {
            let replaced = seat == self.o.me.seat
                && self.waits_for_plan()
                && self.o.disk.wal.is_none()
                && self
                    .o
                    .disk
                    .join
                    .is_none_or(|join| join.member != target || join.cluster != list.cluster);
            let others_wait = (0..wanted).any(|s| list.of(Seat(s)).next().is_none());
            let stuck = member.learner
                && self.o.launcher == Launcher::Running
                && self.m.learners.contains_key(&target)
                && (!answers || others_wait);
            ensure(replaced || stuck, "a member of a wanted seat that may be healthy")?;
        }
        if member.learner {
            return Ok(());
        }
        let remain = list.members.values().filter(|x| !x.learner).count() - 1;
        ensure(
            2 * self.together(list, Some(target)) > remain,
            "the voters that remain and answer are no quorum",
        )?;
        let wanted_voter = list
            .members
            .iter()
            .filter(|(id, x)| **id != target && !x.learner && x.seat.is_some_and(|s| s.0 < wanted))
            .any(|(id, _)| self.answers(*id, list.cluster));
        ensure(!answers || wanted_voter, "no live voter of a wanted seat remains")
    }

    fn promote(&self, target: MemberId) -> Result<(), String> {
        let list = self.list()?;
        let member = list.members.get(&target).ok_or("it is not listed")?;
        let seat = self.seat_of(target, member)?;
        ensure(
            self.wanted().is_some_and(|n| seat.0 < n),
            "the seat is not wanted for certain",
        )?;
        ensure(member.learner && !member.name.is_empty(), "it is no started learner")?;
        ensure(self.answers(target, list.cluster), "it does not answer")?;
        ensure(self.o.launcher == Launcher::Running, "the local etcd does not run")?;
        let leaves = self.m.leaving_since.is_some() && !self.wants_me();
        ensure(!leaves && !self.o.hook_waits, "this agent has begun to leave")?;
        if seat == self.o.me.seat {
            ensure(!self.o.container_ends, "the pod is ending")?;
        } else {
            let peer = lately(&self.o.peers).and_then(|peers| peers.get(&seat));
            ensure(
                peer.is_some_and(|peer| !peer.terminating),
                "its pod is ending, or not there",
            )?;
        }
        let applied = |id: MemberId| {
            let mut found = self
                .statuses()
                .filter(|s| s.identity.member == id && s.identity.cluster == list.cluster);
            found.next().map(|s| (s.applied, s.leader))
        };
        let (has, leader) = applied(target).ok_or("it does not answer")?;
        let (there_is, _) = leader.and_then(applied).ok_or("the leader does not answer")?;
        ensure(there_is <= has + 1_000, "it lags behind")?;
        let voters = list.members.values().filter(|x| !x.learner).count();
        let together = self.together(list, None);
        ensure(2 * (together + 1) > voters + 1, "the result would have no quorum")
    }

    /// Invariant 1.
    fn claim(&self) -> Result<(), String> {
        let birth = lately(&self.o.birth).and_then(|b| b.as_ref()).ok_or("no record")?;
        let given_up = birth.abandoned.is_some() && birth.cluster == birth.abandoned;
        ensure(
            birth.phase == BirthPhase::Unclaimed || given_up,
            "the record is claimed",
        )?;
        let disk = &self.o.disk;
        ensure(disk.wal.is_none() && !disk.wal_seen, "the volume has, or had, data")?;
        let other = |identity: Identity| Some(identity.cluster) != birth.abandoned;
        ensure(!disk.join.is_some_and(other), "the volume is bound to a member")?;
        ensure(!disk.tombstone.is_some_and(other), "the volume was a member")?;
        ensure(self.waits_for_plan() && self.o.me.seat == Seat(0), "not the founder")?;
        let wanted = self
            .wanted()
            .filter(|n| *n > 0)
            .ok_or("the seat is not wanted for certain")?;
        let known = lately(&self.o.status_cluster).ok_or("the status is not known")?;
        ensure(
            known.is_none() || *known == birth.abandoned,
            "the status knows a cluster",
        )?;
        let peers = lately(&self.o.peers).ok_or("the pods are not known")?;
        for peer in peers.values() {
            ensure(lately(&peer.etcd).is_none(), "a peer answers as a member")?;
            ensure(lately(&peer.agent).is_none_or(|r| !r.has_data), "a peer has data")?;
        }
        let silent = (1..wanted).find(|s| peers.get(&Seat(*s)).and_then(|p| lately(&p.agent)).is_none());
        let attested = birth.no_older_volumes && birth.abandoned.is_none();
        ensure(attested || silent.is_none(), "a seat has not reported that it is empty")
    }

    fn record(&self, action: &Action) -> Result<(), String> {
        let status = lately(&self.o.local).ok_or("the local etcd does not answer")?;
        if status.leader != Some(status.identity.member) {
            self.deputises(status)?;
        }
        let birth = lately(&self.o.birth).ok_or("the record was not read")?;
        let unclaimed = birth.as_ref().is_none_or(|b| b.phase == BirthPhase::Unclaimed);
        match action {
            Action::RepublishBirth { cluster } => {
                ensure(*cluster == status.identity.cluster, "another cluster")?;
                ensure(unclaimed, "the record says something")
            }
            _ => ensure(
                !unclaimed
                    && birth
                        .as_ref()
                        .is_some_and(|b| b.cluster == Some(status.identity.cluster)),
                "the record is another cluster's",
            ),
        }
    }

    /// The seat is the lowest voter that answers and does not lead, by a list with a quorum behind it.
    fn deputises(&self, status: &EtcdStatus) -> Result<(), String> {
        let list = self.list()?;
        ensure(list.cluster == status.identity.cluster, "the list is another cluster's")?;
        let lower = list.voters().any(|(id, member)| {
            let may = Some(*id) != status.leader && self.answers(*id, list.cluster);
            may && *id != status.identity.member && member.seat.is_some_and(|seat| seat < self.o.me.seat)
        });
        ensure(!lower, "another seat is the deputy")
    }

    /// An older view never takes the place of a newer one, and the leader's agent needs no decision.
    fn publish(&self) -> Result<(), String> {
        let status = lately(&self.o.local).ok_or("the local etcd does not answer")?;
        ensure(status.leader.is_some_and(|id| id != status.identity.member), "it leads")?;
        self.deputises(status)?;
        let published = lately(&self.o.published).ok_or("what is published was not read")?;
        ensure(published.is_some(), "there is no EtcdCluster")?;
        let (read, listed) = (&self.o.published.seen, &self.o.list.seen);
        let after = read
            .as_ref()
            .zip(listed.as_ref())
            .is_some_and(|((read, _), (listed, _))| read <= listed);
        ensure(after, "the list is older than what is published")
    }

    /// Invariants 1 and 2.
    fn start(&self, plan: &StartPlan) -> Result<(), String> {
        let disk = &self.o.disk;
        ensure(self.waits_for_plan(), "etcd does not wait for a plan")?;
        ensure(disk.unreadable.is_none(), "the volume cannot be read")?;
        match plan {
            StartPlan::New { token } => {
                ensure(disk.wal.is_none() && !disk.wal_seen, "the volume has, or had, data")?;
                let birth = lately(&self.o.birth).and_then(|b| b.as_ref()).ok_or("no record")?;
                let mine = Some((token.clone(), self.o.me.seat, self.o.me.volume.clone()));
                ensure(
                    birth.phase == BirthPhase::Claimed && birth.founder == mine,
                    "this volume did not claim, or has served",
                )
            }
            StartPlan::Existing { initial_cluster } => {
                ensure(disk.wal.is_none() && !disk.wal_seen, "the volume has, or had, data")?;
                ensure(self.wants_me() && self.formed(), "the seat is not to join for certain")?;
                let list = self.list()?;
                let join = disk.join.ok_or("this volume has joined nothing")?;
                let member = list.members.get(&join.member).ok_or("the member is not listed")?;
                ensure(join.cluster == list.cluster, "the member is another cluster's")?;
                ensure(member.name.is_empty(), "the member has started before")?;
                let urls: BTreeSet<_> = initial_cluster.iter().map(|(_, url)| url).collect();
                let listed: BTreeSet<_> = list.members.values().flat_map(|x| &x.peer_urls).collect();
                ensure(urls == listed, "the URLs are not those of the list")?;
                let mine: Vec<_> = initial_cluster.iter().filter(|(n, _)| *n == self.o.me.name).collect();
                ensure(mine.len() == member.peer_urls.len(), "own name, own URL")
            }
            StartPlan::Resume => {
                let wal = disk.wal.ok_or("there is no WAL")?;
                ensure(disk.tombstone != Some(wal), "the member was removed")?;
                let removed = self.list().is_ok_and(|l| !l.members.contains_key(&wal.member));
                ensure(!removed, "the member was removed")?;
                ensure(!disk.nameless || self.names(wal), "the data may be a copy's")
            }
        }
    }

    /// True if somebody of this cluster says that the data of `wal` is this seat's.
    fn names(&self, wal: Identity) -> bool {
        let listed = self.list().ok().and_then(|list| list.members.get(&wal.member));
        let birth = lately(&self.o.birth).and_then(|birth| birth.as_ref());
        let recorded = birth.is_some_and(|birth| birth.cluster == Some(wal.cluster));
        listed.map_or(recorded, |member| member.peer_urls.contains(&self.o.me.peer_url))
    }

    /// Invariant 8.
    fn archive(&self, reason: ArchiveReason) -> Result<(), String> {
        let disk = &self.o.disk;
        ensure(self.waits_for_plan(), "etcd may be running")?;
        match (reason, disk.wal) {
            (ArchiveReason::Removed, Some(wal)) => {
                let listed_no_more = self.list().is_ok_and(|l| !l.members.contains_key(&wal.member));
                ensure(
                    listed_no_more || disk.tombstone == Some(wal),
                    "it may still be a member",
                )?;
                ensure(self.wants_me(), "nobody needs the place")
            }
            (ArchiveReason::Corrupt, Some(wal)) => {
                ensure(!disk.corrupt_before, "it was done before")?;
                ensure(
                    self.o.launcher == Launcher::AwaitingPlan { corrupt: true },
                    "the data is not known to be corrupt",
                )?;
                let list = self.list()?;
                let voters = list.members.values().filter(|x| !x.learner).count();
                ensure(
                    2 * self.together(list, Some(wal.member)) > voters,
                    "the others are no quorum",
                )
            }
            (ArchiveReason::LostWal, None) => {
                let birth = lately(&self.o.birth).and_then(|b| b.as_ref());
                let founded = birth.is_some_and(|b| {
                    b.phase == BirthPhase::Formed && b.founder.as_ref().is_some_and(|(_, _, v)| *v == self.o.me.volume)
                });
                let started = disk.join.is_some_and(|join| {
                    let listed = self.list().ok().and_then(|l| l.members.get(&join.member));
                    listed.is_some_and(|member| !member.name.is_empty())
                });
                ensure(disk.wal_seen || founded || started, "there may never have been a WAL")
            }
            (ArchiveReason::Leftovers, None) => ensure(disk.leftovers, "there is nothing left over"),
            _ => Err("the wrong reason".into()),
        }
    }

    fn move_leader(&self, to: MemberId) -> Result<(), String> {
        let list = self.list()?;
        let status = lately(&self.o.local).ok_or("the local etcd does not answer")?;
        ensure(status.leader == Some(status.identity.member), "it does not lead")?;
        let member = list.members.get(&to).ok_or("it is not listed")?;
        ensure(to != status.identity.member && !member.learner, "not another voter")?;
        let wanted = self.wanted().ok_or("who is wanted is not known")?;
        ensure(member.seat.is_some_and(|s| s.0 < wanted), "its seat is not wanted")?;
        ensure(self.answers(to, list.cluster), "it does not answer")
    }

    fn tombstone(&self, before: &[Action]) -> Result<(), String> {
        let status = lately(&self.o.local).ok_or("the local etcd does not answer")?;
        let me = status.identity.member;
        let listed_no_more = !self.list()?.members.contains_key(&me);
        let removes = before.contains(&Action::Remove { member: me });
        ensure(listed_no_more || removes, "it may still be a member")
    }

    fn release(&self, left: bool, before: &[Action]) -> Result<(), String> {
        if left {
            let noted = before.contains(&Action::Tombstone) || self.o.disk.tombstone.is_some();
            return ensure(noted, "it has not left");
        }
        ensure(self.o.hook_waits, "no hook waits")?;
        let running = self.o.launcher == Launcher::Running;
        let stays = lately(&self.o.workload).is_some() && (self.wants_me() || self.wanted().is_none_or(|n| n == 0));
        // Not to leave needs less than to leave: the watch's word that the StatefulSet is gone is enough.
        let gone = matches!(self.o.hint, Some(Workload::Missing | Workload::Deleting));
        let unread = lately(&self.o.workload).is_none();
        ensure(!running || stays || (unread && gone), "the seat may have to leave")
    }
}

/// Every kind of action.
pub(crate) const NAMES: [&str; 20] = [
    "AddLearner",
    "Archive corrupt",
    "Archive leftovers",
    "Archive lost-wal",
    "Archive removed",
    "ClaimBirth",
    "MarkFormed",
    "MoveLeader",
    "NoteWal",
    "Promote",
    "PruneArchives",
    "PublishMembers",
    "ReleaseHook, left",
    "ReleaseHook, not left",
    "Remove",
    "RepublishBirth",
    "Start existing",
    "Start new",
    "Start resume",
    "Tombstone",
];

/// The kind of an action.
pub(crate) fn name(action: &Action) -> &'static str {
    match action {
        Action::AddLearner => "AddLearner",
        Action::Archive(ArchiveReason::Corrupt) => "Archive corrupt",
        Action::Archive(ArchiveReason::Leftovers) => "Archive leftovers",
        Action::Archive(ArchiveReason::LostWal) => "Archive lost-wal",
        Action::Archive(ArchiveReason::Removed) => "Archive removed",
        Action::ClaimBirth { .. } => "ClaimBirth",
        Action::MarkFormed => "MarkFormed",
        Action::MoveLeader { .. } => "MoveLeader",
        Action::NoteWal => "NoteWal",
        Action::Promote { .. } => "Promote",
        Action::PruneArchives => "PruneArchives",
        Action::PublishMembers => "PublishMembers",
        Action::ReleaseHook { left: true } => "ReleaseHook, left",
        Action::ReleaseHook { left: false } => "ReleaseHook, not left",
        Action::Remove { .. } => "Remove",
        Action::RepublishBirth { .. } => "RepublishBirth",
        Action::Start(StartPlan::Existing { .. }) => "Start existing",
        Action::Start(StartPlan::New { .. }) => "Start new",
        Action::Start(StartPlan::Resume) => "Start resume",
        Action::Tombstone => "Tombstone",
    }
}
