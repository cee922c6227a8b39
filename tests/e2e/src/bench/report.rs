//! The figures, as a table for people and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::rest::Rest;

/// The subject of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Subject {
    /// The plain StatefulSet.
    Floor,
    /// The same with Muster.
    Muster,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Floor => "floor",
            Self::Muster => "Muster",
        })
    }
}

/// The steps, in the order of the table, each with the floor it is held against.
const STEPS: [(&str, Option<&str>); 6] = [
    ("create 1", Some("create 1")),
    ("create 3", Some("create 3")),
    ("1→3", Some("create 3")),
    ("3→5", Some("create 3")),
    ("5→3", None),
    ("3→1", None),
];

type Key = (Subject, String, String, String);

/// Everything that was measured.
#[derive(Default)]
pub(super) struct Results {
    times: BTreeMap<Key, Vec<f64>>,
    rests: BTreeMap<String, Rest>,
    gaps: BTreeMap<String, u128>,
}

impl Results {
    /// Adds the seconds of one step.
    pub(super) fn add(&mut self, subject: Subject, dns: &str, etcd: &str, step: &str, seconds: f64) {
        self.times
            .entry((subject, dns.to_owned(), etcd.to_owned(), step.to_owned()))
            .or_default()
            .push(seconds);
    }

    /// Adds the cost of a cluster at rest.
    pub(super) fn add_rest(&mut self, etcd: &str, rest: Rest) {
        self.rests.insert(etcd.to_owned(), rest);
    }

    /// Adds the longest write gap, in milliseconds.
    pub(super) fn add_gap(&mut self, etcd: &str, milliseconds: u128) {
        self.gaps.insert(etcd.to_owned(), milliseconds);
    }

    fn median(&self, subject: Subject, dns: &str, etcd: &str, step: &str) -> Option<f64> {
        median(
            self.times
                .get(&(subject, dns.to_owned(), etcd.to_owned(), step.to_owned()))?,
        )
    }

    /// The results as tables for people.
    pub(super) fn table(&self) -> String {
        let columns: BTreeSet<(&str, &str)> = self
            .times
            .keys()
            .map(|(_, dns, etcd, _)| (etcd.as_str(), dns.as_str()))
            .collect();
        let mut text = String::from(
            "Seconds (median), each step from a cluster that has been at rest for 6 s; in brackets: times the floor, which is a plain StatefulSet of the same pods.\n\n",
        );
        let headings: Vec<_> = columns
            .iter()
            .map(|(etcd, dns)| format!("etcd {etcd}, {dns} DNS"))
            .collect();
        let _ = writeln!(text, "| step | {} |", headings.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(columns.len()));
        for step in ["create 1", "create 3"] {
            let cells: Vec<_> = columns
                .iter()
                .map(|(etcd, dns)| {
                    self.median(Subject::Floor, dns, etcd, step)
                        .map_or("—".to_owned(), |s| format!("{s:.1}"))
                })
                .collect();
            let _ = writeln!(text, "| floor: {step} | {} |", cells.join(" | "));
        }
        for (step, held_against) in STEPS {
            let cells: Vec<_> = columns
                .iter()
                .map(|(etcd, dns)| self.cell(dns, etcd, step, held_against))
                .collect();
            let _ = writeln!(text, "| {step} | {} |", cells.join(" | "));
        }
        for (etcd, rest) in &self.rests {
            let _ = write!(text, "\n{}", rest_lines(etcd, rest));
        }
        for (etcd, gap) in &self.gaps {
            let _ = writeln!(
                text,
                "- etcd {etcd}: longest gap between acknowledged writes during 1→3→5→3→1: {gap} ms"
            );
        }
        text
    }

    fn cell(&self, dns: &str, etcd: &str, step: &str, held_against: Option<&str>) -> String {
        let Some(seconds) = self.median(Subject::Muster, dns, etcd, step) else {
            return "—".to_owned();
        };
        match held_against.and_then(|floor| self.median(Subject::Floor, dns, etcd, floor)) {
            Some(floor) => format!("{seconds:.1} ({:.2}x)", seconds / floor),
            None => format!("{seconds:.1}"),
        }
    }

    /// All results, as JSON for programs.
    pub(super) fn json(&self) -> Value {
        let times = self.times.iter().map(|((subject, dns, etcd, step), seconds)| {
            json!({ "subject": subject.to_string(), "dns": dns, "etcd": etcd, "step": step, "median": median(seconds), "seconds": seconds })
        });
        let rests = self.rests.iter().map(|(etcd, rest)| {
            json!({
                "etcd": etcd, "agentMiB": rest.agent_mib, "agentMillicores": rest.agent_millicores,
                "operatorMiB": rest.operator_mib, "operatorMillicores": rest.operator_millicores,
                "agentRequestsPerMinute": rest.agent_requests, "operatorRequestsPerMinute": rest.operator_requests,
                "requests": rest.requests,
            })
        });
        let gaps: BTreeMap<_, _> = self
            .gaps
            .iter()
            .map(|(etcd, gap)| (etcd.clone(), u64::try_from(*gap).unwrap_or(u64::MAX)))
            .collect();
        json!({ "steps": times.collect::<Vec<_>>(), "rest": rests.collect::<Vec<_>>(), "longestWriteGapMs": gaps })
    }
}

fn rest_lines(etcd: &str, rest: &Rest) -> String {
    let largest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let mut text = format!(
        "- etcd {etcd}, 3 members at rest: an agent has {:.1} MiB RSS and takes {:.1} millicores (the largest of {}) and {:.1} API requests a minute\n",
        largest(&rest.agent_mib),
        largest(&rest.agent_millicores),
        rest.agent_mib.len(),
        rest.agent_requests
    );
    let _ = writeln!(
        text,
        "- the operator has {:.1} MiB RSS and takes {:.1} millicores and {:.1} API requests a minute",
        rest.operator_mib, rest.operator_millicores, rest.operator_requests
    );
    let all: Vec<_> = rest
        .requests
        .iter()
        .map(|(what, count)| format!("{count}x {what}"))
        .collect();
    let _ = writeln!(
        text,
        "- requests in that time: {}",
        if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(", ")
        }
    );
    text
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_each_step_against_its_floor() {
        let mut results = Results::default();
        for seconds in [5.0, 9.0, 6.0] {
            results.add(Subject::Floor, "modern", "v1", "create 3", seconds);
        }
        results.add(Subject::Muster, "modern", "v1", "create 3", 9.0);
        assert!(
            results.table().contains("| create 3 | 9.0 (1.50x) |"),
            "{}",
            results.table()
        );
        assert_eq!(median(&[1.0, 3.0]), Some(2.0));
    }
}
