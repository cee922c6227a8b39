//! An arbitrary memory: anything that the core may have handed back before.

use std::collections::BTreeMap;

use muster_membership::*;
use proptest::prelude::*;

use super::{Choices, NOW, bytes};

impl Choices<'_> {
    fn attempts(&mut self) -> Attempts {
        Attempts {
            first: self.since(),
            last: self.since(),
        }
    }

    /// A wait like many: what is decided next may be another one.
    fn wait(&mut self) -> Wait {
        let phases = [Phase::Waiting, Phase::Joining, Phase::Learner, Phase::Voter];
        let reasons = [
            Reason::Joining,
            Reason::NameNotPublished,
            Reason::CatchingUp,
            Reason::AwaitingMembers,
        ];
        Wait {
            phase: phases[usize::from(self.up_to(4))],
            reason: reasons[usize::from(self.up_to(4))],
            step: None,
            since: self.since(),
        }
    }

    fn notes(&mut self) -> BTreeMap<MemberId, Time> {
        (0..self.up_to(4)).map(|_| (self.member(), self.since())).collect()
    }
}

/// Anything that the core may have handed back before.
pub(crate) fn memory() -> impl Strategy<Value = Memory> {
    bytes(17).prop_map(|bytes| {
        let c = &mut Choices {
            tidy: false,
            young: false,
            bytes: bytes.iter().copied(),
        };
        Memory {
            leaving_since: c.rarely(6).then(|| c.since()),
            hook_since: c.rarely(6).then(|| c.since()),
            pruned: c.rarely(2),
            formed_as_of: (!c.rarely(4)).then(|| c.since()),
            record_unknown_since: c.rarely(2).then(|| c.since()),
            published_as_of: c.rarely(2).then(|| c.since()),
            publish_tried: c.rarely(2).then(|| c.since()),
            noted_at: (!c.rarely(8)).then(|| Time(NOW.0 - 50 * u64::from(c.byte()))),
            due_since: (!c.rarely(4)).then(|| c.since()),
            unwanted_since: c.notes(),
            ready_since: c.notes(),
            learners: c
                .notes()
                .into_iter()
                .map(|(id, since)| {
                    let (heard, anew) = (c.rarely(2).then(|| c.since()), c.up_to(9));
                    let progress = (0, c.up_to(9).into());
                    (
                        id,
                        LearnerWatch {
                            progress,
                            since,
                            heard,
                            anew,
                        },
                    )
                })
                .collect(),
            evictions: (0..c.up_to(3))
                .map(|_| {
                    let count = 1 + u32::from(c.up_to(9));
                    (
                        Seat(c.up_to(5).into()),
                        Evictions {
                            count,
                            last: c.member(),
                        },
                    )
                })
                .collect(),
            prune_attempts: c.rarely(3).then(|| c.attempts()),
            record_attempts: c.rarely(3).then(|| c.attempts()),
            wait: c.rarely(2).then(|| c.wait()),
        }
    })
}
