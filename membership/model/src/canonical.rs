//! One form for all states that differ only in what makes no difference: names of members, and memories of
//! members that are gone.

use crate::intern::Pools;
use crate::state::{Grounds, Id, Pending, SEATS, State};

impl State {
    /// The members that something still refers to.
    #[must_use]
    pub fn mentioned(&self, pools: &Pools) -> u64 {
        let pending = self.pending.map_or(0, |p| p.change.target().bit());
        let leader = self.leader.map_or(0, Id::bit);
        let seats = self.seats.iter().map(|seat| {
            let disk = [seat.wal, seat.join, seat.tombstone].into_iter().flatten();
            let pooled = pools.configs.mentions(seat.view)
                | pools.memories.mentions(seat.memory)
                | pools.plans.mentions(seat.plan);
            disk.fold(pooled, |set, id| set | id.bit())
        });
        seats.fold(pending | leader | pools.configs.mentions(self.config), |set, ids| {
            set | ids
        })
    }

    /// Brings states that differ only in the names of members, or in what nobody can ask for any more, to one form.
    pub fn canonical(&mut self, pools: &mut Pools) {
        let members = pools.configs.mentions(self.config);
        for i in 0..SEATS {
            let memory = self.seats[i].memory;
            if pools.memories.mentions(memory) & !members != 0 {
                self.seats[i].memory = pools.memories.keep(memory, members);
            }
        }
        let used = self.mentioned(pools);
        self.caught_up &= members;
        self.born &= used;
        let names = names(used);
        if names.iter().any(|(old, new)| old != new) {
            self.rename(pools, &names);
        }
    }

    /// Widens the grounds of plans by the members that ended, or were cut off, in this move: no agent is to blame
    /// for that.
    pub fn excuse_faults(&mut self, before: &State, pools: &mut Pools) {
        let ended = before.running() & !self.running() & pools.configs.mentions(self.config);
        let excuse = |grounds: Grounds, cut: u16| Grounds {
            ran: grounds.ran | ended,
            cut: grounds.cut & cut,
            ..grounds
        };
        let cut = self.cut;
        if ended == 0 && before.cut == cut {
            return;
        }
        if let Some(pending) = &mut self.pending {
            pending.grounds = excuse(pending.grounds, cut);
        }
        for seat in &mut self.seats {
            let plan = pools.plans.get(seat.plan);
            if plan.grounds.ran != 0 && excuse(plan.grounds, cut) != plan.grounds {
                let mut plan = plan.clone();
                plan.grounds = excuse(plan.grounds, cut);
                seat.plan = pools.plans.number(&plan);
            }
        }
    }

    fn rename(&mut self, pools: &mut Pools, names: &[(Id, Id)]) {
        let new = |id: Id| names.iter().find(|(old, _)| *old == id).map_or(id, |(_, new)| *new);
        let set = |set: u64| {
            let kept = names.iter().filter(|(old, _)| set & old.bit() != 0);
            kept.fold(0, |set, (_, new)| set | new.bit())
        };
        for seat in &mut self.seats {
            seat.wal = seat.wal.map(new);
            seat.join = seat.join.map(new);
            seat.tombstone = seat.tombstone.map(new);
            seat.view = pools.configs.rename(seat.view, &new, &set);
            seat.memory = pools.memories.rename(seat.memory, &new, &set);
            seat.plan = pools.plans.rename(seat.plan, &new, &set);
        }
        self.config = pools.configs.rename(self.config, &new, &set);
        self.leader = self.leader.map(new);
        self.caught_up = set(self.caught_up);
        self.born = set(self.born);
        self.pending = self.pending.map(|p| Pending {
            change: p.change.with(new(p.change.target())),
            grounds: Grounds {
                ran: set(p.grounds.ran),
                exempt: set(p.grounds.exempt),
                ..p.grounds
            },
        });
    }
}

/// New names for the members in `used`: those of each seat are counted from its first.
fn names(used: u64) -> Vec<(Id, Id)> {
    let mut names: Vec<(Id, Id)> = vec![];
    for old in Id::in_set(used) {
        let before = names.iter().filter(|(id, _)| id.seat() == old.seat()).count();
        names.push((old, Id::new(old.seat(), u8::try_from(before).unwrap_or(0))));
    }
    names
}
