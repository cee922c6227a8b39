//! The history: what the clients did and saw, one line of JSON for each operation.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

/// An operation of one client on one key.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Operation {
    /// The client; one whose operation's outcome is unknown goes on as another.
    pub(super) client: u32,
    /// The operation.
    pub(super) kind: Kind,
    /// The key that it is about.
    pub(super) key: String,
    /// The value that was written, or that was to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
    /// The value that a compare-and-swap expected; none means no such key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expected: Option<String>,
    /// The value that a read found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) found: Option<String>,
    /// Its ending.
    pub(super) outcome: Outcome,
    /// The time of its begin, in nanoseconds from the start.
    pub(super) call: u64,
    /// The time of its end, in nanoseconds from the start.
    #[serde(rename = "return")]
    pub(super) end: u64,
}

/// The kinds of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Writes a value that no other operation writes.
    Put,
    /// Writes if the value is the expected one.
    Cas,
    /// A linearizable read.
    Get,
}

/// The ending of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// The operation was carried out.
    Ok,
    /// A compare-and-swap whose expectation did not hold.
    Refused,
    /// The operation may have happened, or happen yet.
    Unknown,
}

/// Everything that all clients did.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// The operations, in no order.
    pub(super) operations: Vec<Operation>,
    /// Operations that did not happen for certain, as no connection was had.
    pub(super) failed: usize,
}

impl History {
    /// Writes the history to a file.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        for operation in &self.operations {
            serde_json::to_writer(&mut file, operation)?;
            file.write_all(b"\n")?;
        }
        file.flush()?;
        Ok(())
    }

    /// Counts, and the longest time without a success.
    pub(super) fn summary(&self) -> String {
        let count = |outcome: Outcome| self.operations.iter().filter(|one| one.outcome == outcome).count();
        let (gap, at) = self.longest_unavailability();
        format!(
            "{} operations: {} done, {} refused, {} of unknown outcome; {} without a connection; longest unavailability {:.1} s, {:.0} s after the start",
            self.operations.len(),
            count(Outcome::Ok),
            count(Outcome::Refused),
            count(Outcome::Unknown),
            self.failed,
            gap.as_secs_f64(),
            at.as_secs_f64()
        )
    }

    /// The longest time in which no client had a success, and when it began.
    pub(super) fn longest_unavailability(&self) -> (Duration, Duration) {
        let done = self.operations.iter().filter(|one| one.outcome != Outcome::Unknown);
        let mut ends: Vec<_> = done.map(|one| one.end).collect();
        ends.sort_unstable();
        let gaps = ends.windows(2).map(|pair| (pair[1] - pair[0], pair[0]));
        let (gap, at) = gaps.max().unwrap_or_default();
        (Duration::from_nanos(gap), Duration::from_nanos(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unavailability_is_between_two_successes_of_any_clients() {
        let operation = |end: u64, outcome| Operation {
            client: 0,
            kind: Kind::Get,
            key: "k".to_owned(),
            value: None,
            expected: None,
            found: None,
            outcome,
            call: 0,
            end: end * 1_000_000_000,
        };
        let history = History {
            operations: vec![
                operation(9, Outcome::Ok),
                operation(1, Outcome::Ok),
                operation(5, Outcome::Unknown),
                operation(2, Outcome::Ok),
            ],
            failed: 0,
        };
        assert_eq!(
            history.longest_unavailability(),
            (Duration::from_secs(7), Duration::from_secs(2))
        );
    }
}
