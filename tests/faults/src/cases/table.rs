//! The coverage table: steps down, faults across.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::fault::FAULTS;
use super::matrix::{REASONS, reason};
use super::play::Outcome;
use super::step::STEPS;

/// The mark of a cell.
fn cell(outcomes: &BTreeMap<String, bool>, step: &super::step::Step, fault: super::fault::Fault) -> char {
    match (
        reason(step, fault),
        outcomes.get(&format!("{}.{}", step.name, fault.name())),
    ) {
        (Some(reason), _) => reason.letter,
        (None, Some(true)) => '✓',
        (None, Some(false)) => '✗',
        (None, None) => '·',
    }
}

/// The table, with what its signs mean; of steps that were played, or of all if nothing was.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let known: BTreeMap<_, _> = outcomes
        .iter()
        .map(|outcome| (outcome.case.name(), outcome.problems.is_empty()))
        .collect();
    let mut text = String::new();
    let width = STEPS.iter().map(|step| step.name.len()).max().unwrap_or_default();
    _ = write!(text, "{:width$}", "");
    for fault in FAULTS {
        _ = write!(text, "  {}", fault.name());
    }
    text.push('\n');
    let played = |name| outcomes.is_empty() || outcomes.iter().any(|outcome| outcome.case.step.name == name);
    for step in STEPS.iter().filter(|step| played(step.name)) {
        _ = write!(text, "{:width$}", step.name);
        for fault in FAULTS {
            _ = write!(text, "  {:^1$}", cell(&known, step, fault), fault.name().len());
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text.push_str("\n✓ passed   ✗ failed   · not played in this run\n");
    for reason in REASONS {
        _ = writeln!(text, "{}  {}", reason.letter, reason.why);
    }
    text
}
