//! Runs the golden scenarios in `golden/*.txt`: an observation in, the decision and its sentence out.
//!
//! A scenario is a sequence of blocks:
//!
//! ```text
//! # What is shown, for the reader.
//! decide
//! etcd: awaits a plan
//! statefulset: wants 3
//! ----
//! Joining: asking to join as a learner
//!   reason Joining
//!   do AddLearner
//!   read List(c1)
//!   again at once
//! ```
//!
//! Each line of input changes what is observed; everything else stays as it was, and is as fresh as
//! if it had just been read again, unless the line `time:` says otherwise. What the core remembers is
//! carried from block to block. `notation` has the words. `UPDATE_GOLDEN=1 cargo test` writes what
//! the core answers now into the files, for review as a diff.

mod notation;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use muster_membership::{Action, Reason, decide};
use muster_reasons::Place;
use notation::Scene;

/// Runs one file; the same text with the answers as they are now.
fn run(text: &str) -> Result<String, String> {
    let mut scene = Scene::new();
    let mut out = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line != "decide" {
            return Err(format!("line {}: expected `decide`, not `{line}`", number + 1));
        }
        for (number, line) in lines.by_ref() {
            out.push_str(line);
            out.push('\n');
            if line == "----" {
                break;
            }
            scene
                .change(line)
                .map_err(|why| format!("line {}: {why}", number + 1))?;
        }
        let decision = decide(&scene.observed(), &scene.memory, scene.now);
        out.push_str(&notation::show(&decision, scene.now));
        // As the shell does once it is done.
        let failed = matches!(scene.observed().setback, Some((Action::PruneArchives, _)));
        let pruned = decision.actions.contains(&Action::PruneArchives) && !failed;
        scene.memory = decision.memory;
        scene.memory.pruned |= pruned;
        out.push('\n');
        for (_, line) in lines.by_ref() {
            if line.is_empty() {
                break;
            }
        }
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    Ok(out)
}

fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = fs::read_dir(&dir)
        .expect("the folder of scenarios")
        .map(|entry| entry.expect("an entry of the folder").path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "txt"));
    files.sort();
    assert!(!files.is_empty());
    files
}

/// The table of reasons names none for seats that the core never gives.
#[test]
fn every_reason_of_a_seat_is_in_a_scenario() {
    let texts: String = files().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let shown: BTreeSet<_> = texts
        .lines()
        .filter_map(|line| line.strip_prefix("  reason "))
        .collect();
    let of_seats = Reason::ALL
        .iter()
        .filter(|reason| reason.places().contains(&Place::Seat));
    let expected: BTreeSet<_> = of_seats.map(|reason| reason.name()).collect();
    assert_eq!(shown, expected);
}

#[test]
fn every_scenario_is_decided_as_written() {
    let mut wrong = vec![];
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let now = run(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
        if now == text {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, now).unwrap();
        } else {
            let first = text.lines().zip(now.lines()).enumerate().find(|(_, (a, b))| a != b);
            let (line, (was, is)) = first.unwrap_or((text.lines().count().min(now.lines().count()), ("", "")));
            wrong.push(format!("{name}:{}\n  written: {was}\n  decided: {is}", line + 1));
        }
    }
    assert!(
        wrong.is_empty(),
        "decided otherwise than written (UPDATE_GOLDEN=1 rewrites the files):\n{}",
        wrong.join("\n")
    );
}
