//! The table of reasons and the operator's sources agree: a reason that the table gives to conditions or to the
//! operator's Events is used, and one that is used is given to them. That nothing else is a reason is the
//! compiler's business: it is an enum.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use muster_api::reasons::{Place, Reason};

/// The operator's source files, without unit tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let rust = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "rs");
    let files = files
        .into_iter()
        .filter(rust)
        .filter(|path| !path.ends_with("tests.rs"));
    files.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

/// The words after `Reason::` in those files.
fn used() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = std::fs::read_to_string(&path).expect("a file of text");
        let (code, _) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((&text, ""));
        for rest in code.split("Reason::").skip(1) {
            let end = rest
                .find(|letter: char| !letter.is_ascii_alphanumeric())
                .unwrap_or(rest.len());
            words.insert(rest[..end].to_owned());
        }
    }
    words
}

#[test]
fn the_operator_uses_the_reasons_that_the_table_gives_it_and_no_others() {
    let places = [Place::Condition, Place::OperatorEvent];
    let given = Reason::ALL
        .iter()
        .filter(|reason| reason.places().iter().any(|place| places.contains(place)));
    let given: BTreeSet<String> = given.map(Reason::to_string).collect();
    let mut used = used();
    // The generator lists all of them.
    used.remove("ALL");
    assert_eq!(used, given);
}
