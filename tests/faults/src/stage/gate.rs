//! The gate: whatever one part asks of another passes here, twice.
//!
//! ```text
//!   who asks ──▶ Asked ──▶ who answers ──▶ Done ──▶ who asked
//!                  │                         │
//!                held, lost, delayed       held, lost, delayed
//! ```
//!
//! A case sets a trap for one passage; what is caught waits until the case has struck,
//! and then goes on, or is lost. A cut link swallows everything, in silence.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::{oneshot, watch};

/// An end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    /// A pod of this seat.
    Seat(u32),
    Api,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seat(seat) => write!(f, "seat {seat}"),
            Self::Api => f.write_str("API"),
        }
    }
}

/// The moment of a passage: on the way there, or on the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The request, before it is carried out.
    Asked,
    /// The reply: the request was carried out.
    Done,
}

/// A request or a reply that passes the gate.
#[derive(Debug, Clone)]
pub(crate) struct Passage {
    /// The party that asked.
    pub(crate) from: Party,
    /// The party that is asked.
    pub(crate) to: Party,
    /// The request.
    pub(crate) what: String,
    /// Request or reply.
    pub(crate) moment: Moment,
}

/// The fate of a passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The passage goes on.
    Pass,
    /// The passage is never heard of again.
    Lose,
}

/// A passage that is being held.
#[derive(Debug)]
pub(crate) struct Caught {
    release: oneshot::Sender<Verdict>,
}

impl Caught {
    /// Lets it go, or be lost.
    pub(crate) fn release(self, verdict: Verdict) {
        // Who asked may be gone meanwhile.
        _ = self.release.send(verdict);
    }
}

type Fits = Box<dyn Fn(&Passage) -> bool + Send>;

#[derive(Default)]
struct State {
    traps: Vec<(Fits, oneshot::Sender<Caught>)>,
    cuts: BTreeSet<(Party, Party)>,
    slow: Option<(Party, Duration)>,
    rate: Option<(Party, u64)>,
    last_change: Option<Instant>,
}

/// The gate of one case.
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    journal: Mutex<std::fs::File>,
    start: Instant,
}

/// Requests that change who is a member.
const CHANGES: [&str; 3] = ["MemberAdd", "MemberRemove", "MemberPromote"];
/// Passages that are not worth a line in the journal.
const QUIET: [&str; 5] = ["Status", "Range", "MemberList", "GET /status", "POST /raft"];

impl Gate {
    /// A gate that lets everything pass, and keeps a journal.
    pub(crate) fn open(journal: &Path) -> Result<Arc<Self>> {
        let file = std::fs::File::create(journal).with_context(|| journal.display().to_string())?;
        Ok(Arc::new(Self {
            state: Mutex::default(),
            changed: watch::Sender::new(()),
            journal: Mutex::new(file),
            start: Instant::now(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Catches the next passage that fits.
    pub(crate) fn trap(&self, fits: impl Fn(&Passage) -> bool + Send + 'static) -> oneshot::Receiver<Caught> {
        let (sender, caught) = oneshot::channel();
        self.state().traps.push((Box::new(fits), sender));
        caught
    }

    /// Cuts or mends the link between two parties.
    pub(crate) fn set_cut(&self, a: Party, b: Party, cut: bool) {
        let mut state = self.state();
        for link in [(a, b), (b, a)] {
            if cut {
                state.cuts.insert(link);
            } else {
                state.cuts.remove(&link);
            }
        }
        drop(state);
        self.note(&format!(
            "{a} and {b} are {}",
            if cut { "cut apart" } else { "joined again" }
        ));
        self.changed.send_replace(());
    }

    /// Delays everything from and to a party, or nothing any more.
    pub(crate) fn set_slow(&self, slow: Option<(Party, Duration)>) {
        self.note(&format!("slow: {slow:?}"));
        self.state().slow = slow;
    }

    /// Lets so many bytes a second pass on each connection between peers from and to a party, or as many as come.
    pub(crate) fn set_rate(&self, rate: Option<(Party, u64)>) {
        self.note(&format!("bytes a second: {rate:?}"));
        self.state().rate = rate;
    }

    /// The time that so many bytes take between two parties.
    pub(crate) fn time_for(&self, from: Party, to: Party, bytes: usize) -> Duration {
        let rate = self.state().rate;
        match rate.filter(|(party, _)| [from, to].contains(party)) {
            Some((_, rate)) => Duration::from_micros(bytes as u64 * 1_000_000 / rate.max(1)),
            None => Duration::ZERO,
        }
    }

    /// Waits while the link is cut.
    pub(crate) async fn open_between(&self, from: Party, to: Party) {
        let mut changed = self.changed.subscribe();
        while self.state().cuts.contains(&(from, to)) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// The time since a change of membership was last asked for.
    pub(crate) fn quiet_for(&self) -> Duration {
        self.state().last_change.unwrap_or(self.start).elapsed()
    }

    /// Writes a line into the journal.
    pub(crate) fn note(&self, line: &str) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        _ = writeln!(journal, "{:8.3} {line}", self.start.elapsed().as_secs_f64());
    }

    /// Lets a passage go on, or holds it, delays it, loses it.
    pub(crate) async fn pass(&self, passage: Passage) -> Verdict {
        self.open_between(passage.from, passage.to).await;
        let slow = self.state().slow;
        if let Some((_, delay)) = slow.filter(|(party, _)| [passage.from, passage.to].contains(party)) {
            tokio::time::sleep(delay).await;
        }
        if CHANGES.iter().any(|change| passage.what.starts_with(change)) {
            self.state().last_change = Some(Instant::now());
        }
        let trap = {
            let mut state = self.state();
            state.traps.retain(|(_, trap)| !trap.is_closed());
            let found = state.traps.iter().position(|(fits, _)| fits(&passage));
            found.map(|at| state.traps.swap_remove(at).1)
        };
        let line = format!(
            "{} -> {}: {} {:?}",
            passage.from, passage.to, passage.what, passage.moment
        );
        let Some(trap) = trap else {
            if !QUIET.contains(&passage.what.as_str()) {
                self.note(&line);
            }
            return Verdict::Pass;
        };
        let (release, verdict) = oneshot::channel();
        self.note(&format!("{line}: held"));
        _ = trap.send(Caught { release });
        let verdict = verdict.await.unwrap_or(Verdict::Pass);
        self.note(&format!("{line}: {verdict:?}"));
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Arc<Gate> {
        Gate::open(Path::new("/dev/null")).unwrap()
    }

    fn passage(what: &str, moment: Moment) -> Passage {
        Passage {
            from: Party::Seat(1),
            to: Party::Api,
            what: what.to_owned(),
            moment,
        }
    }

    #[tokio::test]
    async fn what_is_caught_waits_and_meets_its_verdict() {
        let gate = gate();
        let caught = gate.trap(|passage| passage.what == "b" && passage.moment == Moment::Done);
        assert_eq!(gate.pass(passage("b", Moment::Asked)).await, Verdict::Pass);
        let passing = tokio::spawn({
            let gate = gate.clone();
            async move { gate.pass(passage("b", Moment::Done)).await }
        });
        caught.await.unwrap().release(Verdict::Lose);
        assert_eq!(passing.await.unwrap(), Verdict::Lose);
        // A trap is for one passage.
        assert_eq!(gate.pass(passage("b", Moment::Done)).await, Verdict::Pass);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_a_cut_link_until_it_is_joined_again() {
        let gate = gate();
        gate.set_cut(Party::Api, Party::Seat(1), true);
        let pass = gate.pass(passage("a", Moment::Asked));
        assert!(tokio::time::timeout(Duration::from_secs(60), pass).await.is_err());
        let pass = tokio::spawn({
            let gate = gate.clone();
            async move { gate.pass(passage("a", Moment::Asked)).await }
        });
        gate.set_cut(Party::Api, Party::Seat(1), false);
        assert_eq!(pass.await.unwrap(), Verdict::Pass);
    }

    #[tokio::test]
    async fn a_trap_that_nobody_waits_for_any_more_holds_nothing() {
        let gate = gate();
        drop(gate.trap(|_| true));
        assert_eq!(gate.pass(passage("a", Moment::Asked)).await, Verdict::Pass);
    }
}
