//! The volumes of seats: folders, one for each lifetime, kept until the case ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::stage::apart::command;

/// All volumes that a case ever had.
#[derive(Debug)]
pub(crate) struct Volumes {
    root: PathBuf,
    made: u32,
    /// The volume that each seat has now.
    current: BTreeMap<u32, PathBuf>,
    /// Volumes of members that were removed, by seat.
    old: BTreeMap<u32, PathBuf>,
}

impl Volumes {
    /// No volumes, in this folder.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            made: 0,
            current: BTreeMap::new(),
            old: BTreeMap::new(),
        }
    }

    /// The seat's volume; an empty one if it has none.
    pub(crate) fn of(&mut self, seat: u32) -> Result<PathBuf> {
        if let Some(known) = self.current.get(&seat) {
            return Ok(known.clone());
        }
        let fresh = self.next(seat);
        fs::create_dir_all(&fresh)?;
        self.current.insert(seat, fresh.clone());
        Ok(fresh)
    }

    fn next(&mut self, seat: u32) -> PathBuf {
        self.made += 1;
        self.root.join(format!("{}-of-seat-{seat}", self.made))
    }

    /// Takes the seat's volume away: the next one is empty. It stays for the judge.
    pub(crate) fn lose(&mut self, seat: u32) -> Option<PathBuf> {
        self.current.remove(&seat)
    }

    /// Takes the seat's volume away, and remembers it as that of a removed member.
    pub(crate) fn retire(&mut self, seat: u32) {
        if let Some(volume) = self.lose(seat) {
            self.old.insert(seat, volume);
        }
    }

    /// Gives the seat the volume of its removed member.
    pub(crate) fn give_old(&mut self, seat: u32) -> bool {
        let old = self.old.remove(&seat);
        let given = old.is_some();
        self.current.extend(old.map(|volume| (seat, volume)));
        given
    }

    /// Every volume that there ever was.
    pub(crate) fn all(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Copies the present and the old volumes of another case.
    pub(crate) fn copy(&mut self, from: &Self) -> Result<()> {
        for (seat, volume) in &from.current {
            let target = self.next(*seat);
            copy(volume, &target)?;
            self.current.insert(*seat, target);
        }
        for (seat, volume) in &from.old {
            let target = self.next(*seat);
            copy(volume, &target)?;
            self.old.insert(*seat, target);
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let (from, to) = (format!("{}/.", from.display()), to.display().to_string());
    command("cp", &["-a", "--sparse=always", &from, &to])
}
