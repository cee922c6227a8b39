//! The steps of each story, in order, and how each is recognised from outside.

use super::large;
use super::seam::Seam;
use super::story::Story;
use crate::stage::gate::Moment::{Asked, Done};

/// A step of a story: the moment in which a fault strikes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// The story that it is part of.
    pub(crate) story: Story,
    /// The place where it is seen.
    pub(crate) seam: Seam,
    /// The event that has just happened, or is about to.
    pub(crate) about: &'static str,
}

const fn step(name: &'static str, story: Story, seam: Seam, about: &'static str) -> Step {
    Step {
        name,
        story,
        seam,
        about,
    }
}

#[rustfmt::skip]
pub(crate) const STEPS: &[Step] = &[
    step("found-claim", Story::Found, Seam::Request("PUT configmaps claimed", Asked), "the claim is on its way to the birth record"),
    step("found-claimed", Story::Found, Seam::Request("PUT configmaps claimed", Done), "the claim is written, the reply on its way"),
    step("found-start", Story::Found, Seam::Door, "etcd is about to start as the first member"),
    step("found-wal", Story::Found, Seam::Wal, "etcd has written its first data"),
    step("found-form", Story::Found, Seam::Request("PUT configmaps formed", Asked), "\"formed\" is on its way to the birth record"),
    step("found-formed", Story::Found, Seam::Request("PUT configmaps formed", Done), "\"formed\" is written, the reply on its way"),
    step("join-look", Story::Join, Seam::Request("GET statefulsets", Done), "the seat has learned that it is wanted"),
    step("join-add", Story::Join, Seam::Request("MemberAdd", Asked), "the learner's registration is on its way"),
    step("join-added", Story::Join, Seam::Request("MemberAdd", Done), "the learner is registered, the reply on its way"),
    step("join-start", Story::Join, Seam::Door, "the ID is on the volume, etcd is about to start"),
    step("join-members", Story::Join, Seam::ToOther("GET /members", Asked), "etcd runs and asks a peer for the members; it has no data"),
    step("join-wal", Story::Join, Seam::Wal, "etcd has written its first data"),
    step("join-promote", Story::Join, Seam::Request("MemberPromote", Asked), "the promotion is on its way"),
    step("join-promoted", Story::Join, Seam::Request("MemberPromote", Done), "the seat votes, the reply is on its way"),
    step("replace-remove", Story::Replace, Seam::Request("MemberRemove", Asked), "the lost volume's member is about to be removed"),
    step("replace-removed", Story::Replace, Seam::Request("MemberRemove", Done), "the lost volume's member is removed, the reply on its way"),
    step("replace-added", Story::Replace, Seam::Request("MemberAdd", Done), "the seat is registered anew, the reply on its way"),
    step("hook-look", Story::Hook, Seam::Request("GET statefulsets", Asked), "the hook waits; the agent asks whether the seat is wanted"),
    step("hook-hand", Story::Hook, Seam::Request("MoveLeader", Asked), "leadership is about to be handed on"),
    step("hook-handed", Story::Hook, Seam::Request("MoveLeader", Done), "leadership is handed on, the reply on its way"),
    step("hook-remove", Story::Hook, Seam::Request("MemberRemove", Asked), "the seat is about to remove itself"),
    step("hook-removed", Story::Hook, Seam::Request("MemberRemove", Done), "the seat is removed, the reply on its way"),
    step("hook-tombstone", Story::Hook, Seam::Line("done action=Tombstone"), "the tombstone is on the volume"),
    step("target-look", Story::Target, Seam::Request("GET statefulsets", Asked), "the agent asks whether the seat is wanted"),
    step("target-remove", Story::Target, Seam::Request("MemberRemove", Asked), "the seat is about to remove itself"),
    step("target-removed", Story::Target, Seam::Request("MemberRemove", Done), "the seat is removed, the reply on its way"),
    step("target-tombstone", Story::Target, Seam::Line("done action=Tombstone"), "the tombstone is on the volume"),
    step("resume-ask", Story::Resume, Seam::ToOther("Range", Asked), "a peer is asked whether the seat is still a member"),
    step("resume-start", Story::Resume, Seam::Door, "etcd is about to start from its data"),
    step("resume-serve", Story::Resume, Seam::ToOwn("Status", Done), "etcd answers for the first time"),
    step("rejoin-ask", Story::Rejoin, Seam::ToOther("Range", Asked), "a peer is asked whether the seat is still a member"),
    step("rejoin-archived", Story::Rejoin, Seam::Line("done action=Archive(Removed)"), "the removed member's data is set aside"),
    step("rejoin-added", Story::Rejoin, Seam::Request("MemberAdd", Done), "the learner is registered, the reply on its way"),
    step("tidy-remove", Story::Tidy, Seam::Request("MemberRemove", Asked), "the leader's agent is about to remove a member that is not wanted"),
    step("tidy-removed", Story::Tidy, Seam::Request("MemberRemove", Done), "the member is removed, the reply on its way"),
    step("promote-ask", Story::Promote, Seam::Request("MemberPromote", Asked), "the leader's agent is about to promote a learner whose agent hangs"),
    step("promote-done", Story::Promote, Seam::Request("MemberPromote", Done), "the learner is promoted, the reply on its way"),
    step("evict-ask", Story::Evict, Seam::Request("MemberRemove", Asked), "the leader's agent is about to evict a learner that never started"),
    step("evict-done", Story::Evict, Seam::Request("MemberRemove", Done), "the learner is evicted, the reply on its way"),
    step("republish-ask", Story::Republish, Seam::Request("PATCH configmaps formed", Asked), "the leader's agent is about to write the lost birth record"),
    step("republish-done", Story::Republish, Seam::Request("PATCH configmaps formed", Done), "the birth record is written, the reply on its way"),
    step("large-receive", Story::Large, Seam::Snapshot("tmp", large::ARRIVING), "a part of the snapshot has arrived; etcd is silent"),
    step("large-restore", Story::Large, Seam::Snapshot("db", large::ARRIVED), "the snapshot has arrived and is the database; etcd restores it"),
    step("large-promote", Story::Large, Seam::Request("MemberPromote", Asked), "the promotion is on its way"),
];
