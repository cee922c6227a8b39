//! Pools: one copy of each large part of a state, and a number for it.

use std::collections::HashMap;
use std::hash::Hash;

use muster_membership::{Action, MemberId, Memory};

use crate::state::{Config, Grounds, Id, Record};

/// A plan: the actions that an agent has decided on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Plan {
    /// The steps.
    pub actions: Vec<Action>,
    /// The grounds of removals and promotions.
    pub grounds: Grounds,
    /// The seats in the membership that a start copies (etcd compares URLs, not IDs).
    pub list: u8,
    /// The record that a write compares with.
    pub record: (Record, u8),
}

/// A value that names members.
pub trait Names: Clone + Eq + Hash + Default {
    /// The members that it names.
    fn mentions(&self) -> u64;
    /// The value with other names; `set` renames a set of members.
    fn rename(&self, new: &dyn Fn(Id) -> Id, set: &dyn Fn(u64) -> u64) -> Self;
}

/// Keeps one copy of each value, and a number for it; 0 is the default.
#[derive(Debug)]
pub struct Pool<T> {
    values: Vec<(T, u64)>,
    numbers: HashMap<T, u32>,
}

impl<T: Names> Default for Pool<T> {
    fn default() -> Self {
        let mut pool = Self {
            values: vec![],
            numbers: HashMap::new(),
        };
        pool.number(&T::default());
        pool
    }
}

impl<T: Names> Pool<T> {
    /// The number of `value`.
    pub fn number(&mut self, value: &T) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push((value.clone(), value.mentions()));
        self.numbers.insert(value.clone(), number);
        number
    }

    /// The value with this number.
    #[must_use]
    pub fn get(&self, number: u32) -> &T {
        &self.values[number as usize].0
    }

    /// The members that the value with this number names.
    #[must_use]
    pub fn mentions(&self, number: u32) -> u64 {
        self.values[number as usize].1
    }

    /// The number of the same value with other names.
    pub fn rename(&mut self, number: u32, new: &dyn Fn(Id) -> Id, set: &dyn Fn(u64) -> u64) -> u32 {
        if self.mentions(number) == 0 {
            return number;
        }
        let renamed = self.get(number).rename(new, set);
        self.number(&renamed)
    }
}

impl Pool<Memory> {
    /// The number of the same memory without those who are no members any more. Their IDs never come back, and
    /// the core forgets them at its next look.
    pub fn keep(&mut self, number: u32, members: u64) -> u32 {
        let mut memory = self.get(number).clone();
        let listed = |id: &MemberId| bit(id.0) & members != 0;
        memory.unwanted_since.retain(|id, _| listed(id));
        memory.ready_since.retain(|id, _| listed(id));
        memory.learners.retain(|id, _| listed(id));
        self.number(&memory)
    }
}

/// The pools.
#[derive(Debug, Default)]
pub struct Pools {
    /// Memberships.
    pub configs: Pool<Config>,
    /// Memories.
    pub memories: Pool<Memory>,
    /// Plans.
    pub plans: Pool<Plan>,
}

fn bit(number: u64) -> u64 {
    Id::from_number(number).map_or(0, Id::bit)
}

impl Names for Config {
    fn mentions(&self) -> u64 {
        self.iter().fold(0, |set, e| set | e.id.bit())
    }

    fn rename(&self, new: &dyn Fn(Id) -> Id, _: &dyn Fn(u64) -> u64) -> Self {
        let mut config = self.clone();
        config.iter_mut().for_each(|e| e.id = new(e.id));
        config.sort();
        config
    }
}

impl Names for Memory {
    fn mentions(&self) -> u64 {
        let ids = self
            .unwanted_since
            .keys()
            .chain(self.ready_since.keys())
            .chain(self.learners.keys());
        ids.fold(0, |set, id| set | bit(id.0))
    }

    fn rename(&self, new: &dyn Fn(Id) -> Id, _: &dyn Fn(u64) -> u64) -> Self {
        let new = |id: &MemberId| MemberId(Id::from_number(id.0).map_or(id.0, |id| new(id).number()));
        Self {
            unwanted_since: self.unwanted_since.iter().map(|(id, x)| (new(id), *x)).collect(),
            ready_since: self.ready_since.iter().map(|(id, x)| (new(id), *x)).collect(),
            learners: self.learners.iter().map(|(id, x)| (new(id), *x)).collect(),
            ..self.clone()
        }
    }
}

impl Names for Plan {
    fn mentions(&self) -> u64 {
        let ids = self.actions.iter().map(|action| match action {
            Action::Promote { member } | Action::Remove { member } => bit(member.0),
            Action::MoveLeader { to } => bit(to.0),
            _ => 0,
        });
        ids.fold(self.grounds.ran, |set, id| set | id)
    }

    fn rename(&self, new: &dyn Fn(Id) -> Id, set: &dyn Fn(u64) -> u64) -> Self {
        let mut plan = self.clone();
        let new = |id: &mut MemberId| id.0 = Id::from_number(id.0).map_or(id.0, |id| new(id).number());
        for action in &mut plan.actions {
            match action {
                Action::Promote { member } | Action::Remove { member } => new(member),
                Action::MoveLeader { to } => new(to),
                _ => {}
            }
        }
        plan.grounds.ran = set(plan.grounds.ran);
        plan.grounds.exempt = set(plan.grounds.exempt);
        plan
    }
}
