//! The style of the code as a test: files are read as text, and each line that breaks a rule is named.
//!
//! CONTRIBUTING.md tells the rules with their reasons. `each_rule_can_fail` shows that they find what they are for.

mod repository;
mod rules;

use repository::{File, dead_paths, read, twins, unused_dependencies};
use rules::{Complaints, RULES};

#[test]
fn the_repository_is_tidy() {
    let (root, names) = repository::files();
    let sources = read(&root, &names, ".rs");
    assert!(sources.len() > 100, "git names only {} sources", sources.len());
    let mut complaints = vec![];
    for source in &sources {
        for (line, what) in RULES.iter().flat_map(|rule| rule(source)) {
            complaints.push(format!("{}:{line}: {what}", source.path));
        }
    }
    complaints.extend(twins(&sources));
    complaints.extend(unused_dependencies(&read(&root, &names, "Cargo.toml"), &sources));
    let folders = names.iter().filter_map(|name| name.split_once('/'));
    let folders: Vec<_> = folders.map(|(folder, _)| folder).collect();
    for document in read(&root, &names, ".md") {
        let beside = root.join(&document.path);
        let exists = |path: &str| root.join(path).exists() || beside.with_file_name(path).exists();
        complaints.extend(dead_paths(&document, &folders, exists));
    }
    let count = complaints.len();
    assert!(complaints.is_empty(), "{count} complaints:\n{}", complaints.join("\n"));
}

fn file(path: &str, text: &str) -> File {
    File {
        path: path.into(),
        text: text.into(),
    }
}

#[test]
fn each_rule_can_fail() {
    let lines = |count: usize| "    step();\n".repeat(count);
    let function = |count: usize| format!("pub(crate) async fn long() {{\n{}}}\n", lines(count - 2));
    let literal = "fn a() { b(\"QuorumLost\") }\n";
    let in_tests = format!("mod tests {{\n{literal}");
    // A rule, a file that breaks it, and one that does not.
    type Case<'a> = (fn(&File) -> Complaints, (&'a str, &'a str), (&'a str, &'a str));
    let cases: &[Case<'_>] = &[
        (rules::header, ("a.rs", "use a;\n"), ("a.rs", "//! A file.\n")),
        (rules::file_length, ("a.rs", &lines(501)), ("a.rs", &lines(500))),
        (rules::function_length, ("a.rs", &function(71)), ("a.rs", &function(70))),
        (
            rules::doc_heads,
            ("a.rs", "/// How it is.\n"),
            ("a.rs", "/// The state.\n/// How it is.\n"),
        ),
        (rules::home_of_tests, ("a/src/b_tests.rs", ""), ("a/src/b/tests.rs", "")),
        (
            rules::home_of_tests,
            ("a.rs", "#[path = \"b.rs\"]\n"),
            ("a.rs", "mod tests;\n"),
        ),
        (rules::reasons, ("agent/src/a.rs", literal), ("api/src/a.rs", literal)),
        (
            rules::reasons,
            ("operator/src/a.rs", literal),
            ("operator/src/a.rs", &in_tests),
        ),
        (
            rules::walls,
            ("membership/src/a.rs", "kubectl\n"),
            ("membership/src/advice.rs", "kubectl\n"),
        ),
        (
            rules::walls,
            ("agent/src/socket/a.rs", "use crate::{\n    config::Config, etcd,\n};\n"),
            (
                "agent/src/socket/a.rs",
                "use crate::{config, socket};\n// crate::etcd\n",
            ),
        ),
        (
            rules::walls,
            ("operator/src/plan/a.rs", "a.await\n"),
            ("operator/src/apply/a.rs", "a.await\n"),
        ),
    ];
    for (at, (rule, bad, good)) in cases.iter().enumerate() {
        assert_eq!(rule(&file(bad.0, bad.1)).len(), 1, "case {at}");
        assert_eq!(rule(&file(good.0, good.1)), [], "case {at}");
    }
}

#[test]
fn each_rule_about_several_files_can_fail() {
    let twice = [
        file("api/src/a.rs", "pub struct Seat(u32);\n"),
        file("agent/src/b.rs", "pub(crate) enum Seat {\n"),
    ];
    assert_eq!((twins(&twice).len(), twins(&twice[..1]).len()), (1, 0));
    let associated = file("api/src/a.rs", "    type Err = ();\n    type Err = ();\n");
    assert!(twins(&[associated]).is_empty());
    let manifests = [
        file("Cargo.toml", "[workspace.dependencies]\nserde = \"1\"\nclap = \"4\"\n"),
        file("a/Cargo.toml", "[dependencies]\nserde.workspace = true\n"),
    ];
    assert_eq!(
        unused_dependencies(&manifests, &[file("a/src/lib.rs", "// serde\nserde_json::a();\n")]),
        [
            "a/Cargo.toml:2: no file of the package names `serde`",
            "Cargo.toml:3: no package depends on `clap`"
        ]
    );
    let document = file(
        "README.md",
        "See `api/src/a.rs`, [there](docs/b.md#c), [here](c.md), [below](#d) and [a](http://a/b).\n",
    );
    let complaints = dead_paths(&document, &["api", "docs"], |path| path == "docs/b.md");
    assert_eq!(
        complaints,
        [
            "README.md:1: there is no `api/src/a.rs`",
            "README.md:1: there is no `c.md`"
        ]
    );
}
