//! The cause for which etcd ended, as it wrote it: a clause for a sentence.

use serde::Deserialize;

use crate::one_line::one_line;

/// A line of etcd's log.
#[derive(Deserialize)]
struct LogLine {
    level: String,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    error: String,
}

/// Levels at which etcd writes why it ends, the surest first. A wrong value of an option is a warning to it
/// (etcd `etcdmain/etcd.go`, 3.5 and 3.6).
const LEVELS: [&str; 4] = ["fatal", "panic", "error", "warn"];

/// The place of a wrong option, for people.
const OPTIONS: &str = "(see spec.etcdOptions)";

/// The cause, by the first line on stderr and the last ones; `None` if they say nothing of it.
pub(crate) fn last_words(first: Option<&str>, last: &[String]) -> Option<String> {
    // A flag that it cannot read: what is wrong, before its whole usage.
    if let Some(first) = first.filter(|line| is_of_flags(line)) {
        return Some(clause(&format!("{first} {OPTIONS}")));
    }
    let lines: Vec<LogLine> = last.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_level = |level: &&str| lines.iter().rev().find(|line| line.level == *level && line.tells());
    if let Some(line) = LEVELS.iter().find_map(of_level) {
        let words = if line.error.is_empty() { &line.msg } else { &line.error };
        return Some(match line.msg.as_str() {
            "failed to verify flags" => clause(&format!("{words} {OPTIONS}")),
            _ => clause(words),
        });
    }
    // Without a log, as a program that is none: of a panic its first line, of anything else the last one.
    let panic = last
        .iter()
        .find(|line| line.starts_with("panic: ") || line.starts_with("fatal error: "));
    let plain = last
        .iter()
        .rev()
        .find(|line| !line.trim().is_empty() && !line.starts_with('{'));
    panic.or(plain).map(|line| clause(line))
}

impl LogLine {
    /// True if the line can be a cause. Warnings without an error are advice.
    fn tells(&self) -> bool {
        !self.error.is_empty() || (self.level != "warn" && !self.msg.is_empty())
    }
}

fn is_of_flags(line: &str) -> bool {
    line.starts_with("flag provided but not defined")
        || line.starts_with("invalid value ")
        || line.starts_with("invalid boolean ")
}

/// One line, without a full stop.
fn clause(words: &str) -> String {
    one_line(words).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one_line::LONGEST;

    fn words(lines: &[&str]) -> Option<String> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        last_words(
            lines.first().map(String::as_str),
            &lines[lines.len().saturating_sub(3)..],
        )
    }

    /// As etcd 3.5.21 and 3.6.16 write them.
    #[test]
    fn a_wrong_flag_is_the_first_line_and_not_the_usage() {
        let usage = [
            "flag provided but not defined: -no-such-flag",
            "Usage:",
            "",
            "  etcd [flags]",
            "    Start an etcd server.",
        ];
        assert_eq!(
            words(&usage).unwrap(),
            "flag provided but not defined: -no-such-flag (see spec.etcdOptions)"
        );
        let value = [
            r#"invalid value "abc" for flag -heartbeat-interval: parse error"#,
            "Usage:",
            "",
            "",
        ];
        assert!(
            words(&value)
                .unwrap()
                .starts_with(r#"invalid value "abc" for flag -heartbeat-interval"#)
        );
    }

    #[test]
    fn a_wrong_value_is_told_from_a_warning_and_advice_is_not() {
        let log = [
            r#"{"level":"warn","caller":"embed/config.go:689","msg":"Running http and grpc server on single port."}"#,
            r#"{"level":"info","caller":"etcdmain/etcd.go:73","msg":"Running: ","args":["etcd"]}"#,
            r#"{"level":"warn","caller":"etcdmain/etcd.go:75","msg":"failed to verify flags","error":"unknown auto-compaction-mode \"foo\""}"#,
        ];
        assert_eq!(
            words(&log).unwrap(),
            r#"unknown auto-compaction-mode "foo" (see spec.etcdOptions)"#
        );
        assert_eq!(words(&log[..2]), None);
    }

    #[test]
    fn the_fatal_line_counts_and_not_a_warning_after_it() {
        let log = [
            r#"{"level":"fatal","msg":"discovery failed","error":"listen tcp 0.0.0.0:2380: bind: address already in use","stacktrace":"x"}"#,
            r#"{"level":"warn","msg":"prober detected unhealthy status","error":"EOF"}"#,
        ];
        assert_eq!(
            words(&log).unwrap(),
            "listen tcp 0.0.0.0:2380: bind: address already in use"
        );
    }

    #[test]
    fn a_program_that_is_no_etcd_is_told_by_its_last_line_and_a_panic_by_its_first() {
        assert_eq!(
            words(&["starting", "exec format error.", ""]).unwrap(),
            "exec format error"
        );
        assert_eq!(
            words(&["panic: assertion failed", "goroutine 1 [running]:", "main.main()"]).unwrap(),
            "panic: assertion failed"
        );
        assert_eq!(words(&[]), None);
        assert_eq!(words(&[&"x".repeat(1000)]).unwrap().chars().count(), LONGEST + 1);
    }
}
