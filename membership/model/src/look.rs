//! One look: what the core decides from a view, once everything that it asks for has been read.

use std::collections::{BTreeSet, HashMap};

use muster_membership::{Action, Decision, Memory, Observed};

use crate::bugs::Bug;
use crate::decision_invariants;
use crate::intern::Pools;
use crate::time::{NOW, without_time};
use crate::view::View;

/// The result of a look.
#[derive(Debug, Clone)]
pub struct Looked {
    /// The sentence of the core.
    pub why: String,
    /// The actions that it wants.
    pub actions: Vec<Action>,
    /// The number of its new memory.
    pub memory: u32,
    /// The invariant that the decision itself breaks, if any.
    pub broken: Option<String>,
}

/// Decisions that were made before.
#[derive(Debug, Default)]
pub struct Looks {
    known: HashMap<View, Looked>,
}

/// Lets the core decide, as often as it only asks to see more.
pub fn look(view: View, looks: &mut Looks, pools: &mut Pools, bug: Option<Bug>) -> Looked {
    if let Some(looked) = looks.known.get(&view) {
        return looked.clone();
    }
    let mut observed = view.observed(pools);
    let mut memory = pools.memories.get(view.memory).clone();
    let mut asked = BTreeSet::new();
    let looked = loop {
        let decision = decide(bug, &observed, &memory);
        let looks_on = decision.phase.is_none();
        if looks_on && decision.needs.is_subset(&asked) {
            break Looked {
                why: "(looks)".into(),
                actions: vec![],
                memory: view.memory,
                broken: Some(format!("asks for {:?} without end", decision.needs)),
            };
        }
        // A wait is decided once more when what it asked for has been read, as the shell does.
        let goes_on = decision.actions.is_empty() && !decision.needs.is_subset(&asked);
        if !looks_on && !goes_on {
            break Looked {
                broken: decision_invariants::broken(&view, pools, &decision),
                memory: pools.memories.number(&without_time(&decision.memory)),
                why: decision.why,
                actions: decision.actions,
            };
        }
        for need in decision.needs {
            view.answer(&mut observed, need, pools);
            asked.insert(need);
        }
        memory = decision.memory;
    };
    looks.known.insert(view, looked.clone());
    looked
}

fn decide(bug: Option<Bug>, o: &Observed, memory: &Memory) -> Decision {
    match bug {
        None => muster_membership::decide(o, memory, NOW),
        Some(bug) => bug.decide(o, memory),
    }
}
