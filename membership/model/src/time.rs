//! Time, which is taken out: a moment that the core remembers is either now, or so long ago that every patience
//! has run out.

use std::collections::BTreeMap;

use muster_membership::{LearnerWatch, MemberId, Memory, Time};

/// The moment of every decision.
pub const NOW: Time = Time(1 << 40);
/// A moment long ago.
const LONG_AGO: Time = Time(1);

/// Leaves out what makes no difference here: every patience is the same, notes never lapse, archives and publication
/// are not modelled, and an agent beside a follower looks at the birth record only if it has seen it before (else the
/// searches are several times as large).
#[must_use]
pub fn without_time(memory: &Memory) -> Memory {
    Memory {
        wait: None,
        pruned: true,
        prune_attempts: None,
        record_attempts: None,
        noted_at: None,
        record_unknown_since: None,
        published_as_of: None,
        publish_tried: None,
        evictions: BTreeMap::new(),
        ..memory.clone()
    }
}

/// The same memory after a time in which every patience has run out, and in which the agent went on looking.
#[must_use]
pub fn long_after(memory: &Memory) -> Memory {
    let age = |time: &Option<Time>| time.map(|_| LONG_AGO);
    let notes = |notes: &BTreeMap<MemberId, Time>| notes.keys().map(|id| (*id, LONG_AGO)).collect();
    let watch = |(id, watch): (&MemberId, &LearnerWatch)| {
        (
            *id,
            LearnerWatch {
                since: LONG_AGO,
                heard: age(&watch.heard),
                ..*watch
            },
        )
    };
    Memory {
        leaving_since: age(&memory.leaving_since),
        hook_since: age(&memory.hook_since),
        formed_as_of: age(&memory.formed_as_of),
        unwanted_since: notes(&memory.unwanted_since),
        ready_since: notes(&memory.ready_since),
        learners: memory.learners.iter().map(watch).collect(),
        due_since: age(&memory.due_since),
        ..memory.clone()
    }
}
