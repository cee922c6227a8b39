//! etcd's member list.

use std::collections::BTreeMap;

use crate::ids::{ClusterId, MemberId, Seat};

/// An entry of etcd's member list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    /// The seat that its peer URL names, if that is one of this cluster's.
    pub seat: Option<Seat>,
    /// Its name; empty until it has started once.
    pub name: String,
    /// Its peer URLs, byte for byte as registered.
    pub peer_urls: Vec<String>,
    /// True if it has no vote.
    pub learner: bool,
}

impl Member {
    /// True if it has ever started (etcd calls a member with a name started).
    #[must_use]
    pub fn started(&self) -> bool {
        !self.name.is_empty()
    }

    /// A name for sentences: the seat, or else the first peer URL.
    #[must_use]
    pub fn label(&self) -> String {
        match self.seat {
            Some(seat) => seat.to_string(),
            None => self.peer_urls.first().cloned().unwrap_or_else(|| self.name.clone()),
        }
    }
}

/// A member list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MemberList {
    /// The cluster that it is of.
    pub cluster: ClusterId,
    /// The members by ID.
    pub members: BTreeMap<MemberId, Member>,
}

impl MemberList {
    /// The members that vote.
    pub fn voters(&self) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.members.iter().filter(|(_, member)| !member.learner)
    }

    /// The members that learn.
    pub fn learners(&self) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.members.iter().filter(|(_, member)| member.learner)
    }

    /// The members of one seat.
    pub fn of(&self, seat: Seat) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.members.iter().filter(move |(_, member)| member.seat == Some(seat))
    }
}
