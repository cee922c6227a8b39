//! The style of the code as a test: files are read as text, and each line that breaks a rule is named.
//!
//! CONTRIBUTING.md tells the rules with their reasons. A rule is a function from a file to its complaints, and
//! `each_rule_can_fail` shows that it finds what it is for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use muster_reasons::Reason;

const LINES_OF_A_FILE: usize = 500;
const LINES_OF_A_FUNCTION: usize = 70;
/// Functions that may be longer, each with its reason. Empty is best.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];
/// First words of a doc comment that begin a clause where a noun or a verb should stand.
const RIDDLES: &[&str] = &["What", "How", "Whether", "Who", "Why", "Where", "Since", "When"];
/// Folders of the product, in which no two types share a name.
const PRODUCT: &[&str] = &[
    "reasons/src/",
    "membership/src/",
    "api/src/",
    "agent/src/",
    "operator/src/",
];
/// Texts that may not occur in a folder, the one file of it that may, and what keeps them out.
const LAYERS: &[(&str, &[&str], &str, &str)] = &[
    ("membership/src/", &["kubectl"], "advice.rs", "commands are advice"),
    (
        "membership/src/",
        &["kube::", "k8s_openapi", "tokio::"],
        "",
        "the core is pure",
    ),
    (
        "agent/src/launcher/",
        &["crate::sidecar", "crate::kubernetes", "crate::etcd"],
        "",
        "the launcher is to fit in a binary of its own",
    ),
    (
        "agent/src/socket/",
        &["crate::sidecar", "crate::kubernetes", "crate::etcd"],
        "",
        "the launcher needs the socket",
    ),
    (
        "agent/src/hook/",
        &["crate::sidecar", "crate::etcd", "etcd_client"],
        "without_agent.rs",
        "only a hook without an agent asks etcd",
    ),
    (
        "operator/src/plan/",
        &["kube::Client", "Api<", ".await"],
        "",
        "a plan is pure",
    ),
    (
        "operator/src/build/",
        &["kube::Client", "Api<", ".await"],
        "",
        "building is pure",
    ),
];

/// A file of the repository.
struct File {
    path: String,
    text: String,
}

/// A complaint about a line, counted from 1.
type Complaint = (usize, String);

impl File {
    fn in_any(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }

    /// The lines outside unit tests, with their numbers.
    fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.path.ends_with("/tests.rs");
        let lines = self
            .text
            .lines()
            .take_while(move |line| !tests && *line != "mod tests {");
        lines.enumerate().map(|(at, line)| (at + 1, line))
    }
}

fn header(file: &File) -> Vec<Complaint> {
    let missing = !file.text.starts_with("//! ");
    missing
        .then(|| (1, "begins without a header: say in `//!` what the file is about".into()))
        .into_iter()
        .collect()
}

fn file_length(file: &File) -> Vec<Complaint> {
    let lines = file.text.lines().count();
    let long = lines > LINES_OF_A_FILE;
    long.then(|| {
        (
            lines,
            format!("is the last of {lines} lines, {LINES_OF_A_FILE} are allowed: split it along an idea"),
        )
    })
    .into_iter()
    .collect()
}

fn function_length(file: &File) -> Vec<Complaint> {
    let lines: Vec<_> = file.text.lines().collect();
    let mut complaints = vec![];
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let indent = &line[..line.len() - trimmed.len()];
        let words = trimmed.split([' ', '(', '<']);
        let mut name = words.skip_while(|word| {
            word.starts_with("pub")
                || ["crate)", "super)", "const", "async", "crate", "super"].contains(word)
                || word.is_empty()
        });
        let (Some("fn"), Some(name)) = (name.next(), name.next()) else {
            continue;
        };
        let end = format!("{indent}}}");
        let length = lines[at..]
            .iter()
            .position(|line| *line == end)
            .map_or(1, |length| length + 1);
        let one_line = line.ends_with('}') || line.ends_with(';');
        if !one_line && length > LINES_OF_A_FUNCTION && !LONG_FUNCTIONS.iter().any(|(long, _)| *long == name) {
            complaints.push((
                at + 1,
                format!("`{name}` has {length} lines, {LINES_OF_A_FUNCTION} are allowed: cut it along an idea"),
            ));
        }
    }
    complaints
}

fn doc_heads(file: &File) -> Vec<Complaint> {
    let mut complaints = vec![];
    let mut inside = false;
    for (at, line) in file.text.lines().enumerate() {
        let doc = line
            .trim_start()
            .strip_prefix("///")
            .or_else(|| line.trim_start().strip_prefix("//!"));
        let first = doc.and_then(|doc| doc.split_whitespace().next()).unwrap_or_default();
        if doc.is_some() && !inside && RIDDLES.contains(&first.trim_end_matches(',')) {
            complaints.push((
                at + 1,
                format!("a doc comment begins with `{first}`: begin with a noun or a verb"),
            ));
        }
        inside = doc.is_some();
    }
    complaints
}

fn home_of_tests(file: &File) -> Vec<Complaint> {
    let elsewhere = file.path.contains("/src/") && file.path.ends_with("_tests.rs");
    let why = "unit tests live in `mod tests` of their file, or in `tests.rs` beside it";
    let paths = file
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.trim_start().starts_with("#[path"));
    elsewhere
        .then_some(1)
        .into_iter()
        .chain(paths.map(|(at, _)| at + 1))
        .map(|line| (line, why.into()))
        .collect()
}

fn reasons(file: &File) -> Vec<Complaint> {
    if !file.in_any(&["agent/src/", "operator/src/"]) {
        return vec![];
    }
    // `Unknown` is also a status of conditions.
    let names = Reason::ALL
        .iter()
        .map(|reason| reason.name())
        .filter(|name| *name != "Unknown");
    let literals: Vec<_> = names.map(|name| (name, format!("\"{name}\""))).collect();
    let found = |(at, line): (usize, &str)| {
        let literal = literals.iter().find(|(_, literal)| line.contains(literal.as_str()))?;
        Some((
            at,
            format!("writes a reason out: use `Reason::{}` of the table", literal.0),
        ))
    };
    file.product_lines().filter_map(found).collect()
}

fn layers(file: &File) -> Vec<Complaint> {
    let rules = LAYERS.iter().filter(|(folder, _, except, _)| {
        file.path.starts_with(folder) && (except.is_empty() || !file.path.ends_with(except))
    });
    let broken = rules.flat_map(|(_, texts, _, why)| {
        let lines = file
            .product_lines()
            .filter(|(_, line)| !line.trim_start().starts_with("//"));
        lines.filter_map(move |(at, line)| {
            let text = texts.iter().find(|text| line.contains(**text))?;
            Some((at, format!("names `{text}`: {why}")))
        })
    });
    broken.collect()
}

const RULES: &[fn(&File) -> Vec<Complaint>] = &[
    header,
    file_length,
    function_length,
    doc_heads,
    home_of_tests,
    reasons,
    layers,
];

/// Types of the product that share a name.
fn twins(files: &[File]) -> Vec<String> {
    let mut homes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.in_any(PRODUCT)) {
        for (at, line) in file.product_lines() {
            let words: Vec<_> = line.split([' ', '<', '(', ';', '{', ':']).collect();
            let kind = words
                .iter()
                .position(|word| ["struct", "enum", "trait", "type"].contains(word));
            let declared = kind.is_some_and(|kind| {
                words[..kind]
                    .iter()
                    .all(|word| word.starts_with("pub") || ["crate)", "super)", "crate", "super)"].contains(word))
            });
            if let (true, Some(name)) = (declared, kind.and_then(|kind| words.get(kind + 1))) {
                homes.entry(name).or_default().push(format!("{}:{at}", file.path));
            }
        }
    }
    let twice = homes.into_iter().filter(|(_, homes)| homes.len() > 1);
    twice
        .map(|(name, homes)| {
            format!(
                "{}: the type name `{name}` is taken: give each type its own",
                homes.join(", ")
            )
        })
        .collect()
}

/// Dependencies that no file of their package names, and workspace dependencies that no package has.
fn unused_dependencies(manifests: &[File], files: &[File]) -> Vec<String> {
    let mut complaints = vec![];
    let named = |manifest: &File, section: fn(&str) -> bool| -> Vec<(usize, String)> {
        let mut inside = false;
        let mut names = vec![];
        for (at, line) in manifest.text.lines().enumerate() {
            if line.starts_with('[') {
                inside = section(line);
            } else if let Some((name, _)) = line
                .split_once(['.', ' ', '='])
                .filter(|_| inside && !line.starts_with([' ', '#', ']']))
            {
                names.push((at + 1, name.to_owned()));
            }
        }
        names
    };
    let of_package = |line: &str| ["[dependencies]", "[dev-dependencies]", "[build-dependencies]"].contains(&line);
    for manifest in manifests.iter().filter(|manifest| manifest.path != "Cargo.toml") {
        let folder = manifest.path.trim_end_matches("Cargo.toml");
        let inner: Vec<_> = manifests
            .iter()
            .map(|other| other.path.trim_end_matches("Cargo.toml"))
            .filter(|other| other.starts_with(folder) && *other != folder)
            .collect();
        for (at, name) in named(manifest, of_package) {
            let mut own = files.iter().filter(|file| {
                file.path.starts_with(folder) && !inner.iter().any(|inner| file.path.starts_with(inner))
            });
            if !own.any(|file| file.text.contains(&name.replace('-', "_"))) {
                complaints.push(format!("{}:{at}: no file of the package names `{name}`", manifest.path));
            }
        }
    }
    for workspace in manifests.iter().filter(|manifest| manifest.path == "Cargo.toml") {
        for (at, name) in named(workspace, |line| line == "[workspace.dependencies]") {
            let mut packages = manifests.iter().filter(|manifest| manifest.path != "Cargo.toml");
            if !packages.any(|manifest| named(manifest, of_package).iter().any(|(_, own)| *own == name)) {
                complaints.push(format!("Cargo.toml:{at}: no package depends on `{name}`"));
            }
        }
    }
    complaints
}

/// Paths of the repository that a document names and that do not exist.
fn dead_paths(document: &File, top: &[String], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = vec![];
    for (at, line) in document.text.lines().enumerate() {
        let words = line.split(|c: char| c.is_whitespace() || "`()[]<>,;\"'".contains(c));
        for word in words {
            let path = word
                .trim_end_matches(['.', ':', '/'])
                .split('#')
                .next()
                .unwrap_or_default();
            let ours = path
                .split_once('/')
                .is_some_and(|(first, _)| top.iter().any(|folder| folder == first));
            if ours && !path.contains(['*', '{', '$', '=', '…', '|']) && !path.starts_with("out/") && !exists(path) {
                complaints.push(format!("{}:{}: there is no `{path}`", document.path, at + 1));
            }
        }
    }
    complaints
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the root of the repository").to_owned()
}

/// The files of the repository that git knows of, or would add.
fn repository(root: &Path) -> Vec<String> {
    let listed = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git")
        .current_dir(root)
        .args(listed)
        .output()
        .expect("git lists the files");
    let names = String::from_utf8(output.stdout).expect("names in UTF-8");
    names
        .lines()
        .filter(|name| root.join(name).is_file())
        .map(str::to_owned)
        .collect()
}

fn read(root: &Path, names: &[String], is_one: impl Fn(&str) -> bool) -> Vec<File> {
    let names = names.iter().filter(|name| is_one(name));
    names
        .map(|path| File {
            path: path.clone(),
            text: fs::read_to_string(root.join(path)).expect("a text file"),
        })
        .collect()
}

#[test]
fn the_repository_is_tidy() {
    let root = root();
    let names = repository(&root);
    let sources = read(&root, &names, |name| name.ends_with(".rs"));
    let manifests = read(&root, &names, |name| name.ends_with("Cargo.toml"));
    let documents = read(&root, &names, |name| name.ends_with(".md"));
    assert!(sources.len() > 100, "git names only {} sources", sources.len());
    let top: Vec<_> = names
        .iter()
        .filter_map(|name| name.split_once('/'))
        .map(|(folder, _)| folder.to_owned())
        .collect();
    let mut complaints: Vec<String> = vec![];
    for file in &sources {
        for (line, what) in RULES.iter().flat_map(|rule| rule(file)) {
            complaints.push(format!("{}:{line}: {what}", file.path));
        }
    }
    complaints.extend(twins(&sources));
    complaints.extend(unused_dependencies(&manifests, &sources));
    for document in &documents {
        let beside = root.join(&document.path);
        let beside = beside.parent().unwrap_or(&root);
        complaints.extend(dead_paths(document, &top, |path| {
            root.join(path).exists() || beside.join(path).exists()
        }));
    }
    assert!(
        complaints.is_empty(),
        "{} complaints:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}

#[test]
fn each_rule_can_fail() {
    let file = |path: &str, text: &str| File {
        path: path.into(),
        text: text.into(),
    };
    let count = |rule: fn(&File) -> Vec<Complaint>, path: &str, text: &str| rule(&file(path, text)).len();
    let long_function = |lines: usize| {
        format!(
            "pub(crate) async fn long() {{\n{}}}\n",
            "    step();\n".repeat(lines - 2)
        )
    };
    assert_eq!(
        (
            count(header, "a.rs", "use a;\n"),
            count(header, "a.rs", "//! A file.\n")
        ),
        (1, 0)
    );
    assert_eq!(
        (
            count(file_length, "a.rs", &"\n".repeat(501)),
            count(file_length, "a.rs", &"\n".repeat(500))
        ),
        (1, 0)
    );
    assert_eq!(
        (
            count(function_length, "a.rs", &long_function(71)),
            count(function_length, "a.rs", &long_function(70))
        ),
        (1, 0)
    );
    assert_eq!(
        (
            count(doc_heads, "a.rs", "/// How it is.\n"),
            count(doc_heads, "a.rs", "/// The state.\n/// How it is.\n")
        ),
        (1, 0)
    );
    assert_eq!(
        (
            count(home_of_tests, "a/src/b_tests.rs", ""),
            count(home_of_tests, "a/src/b/tests.rs", "")
        ),
        (1, 0)
    );
    assert_eq!(
        count(home_of_tests, "a/src/b.rs", "#[path = \"c.rs\"]\nmod tests;\n"),
        1
    );
    let literal = "fn a() { b(\"QuorumLost\") }\n";
    assert_eq!(
        (
            count(reasons, "agent/src/a.rs", literal),
            count(reasons, "api/src/a.rs", literal)
        ),
        (1, 0)
    );
    assert_eq!(count(reasons, "agent/src/a.rs", &format!("mod tests {{\n{literal}")), 0);
    assert_eq!(
        (
            count(layers, "membership/src/a.rs", "kubectl\n"),
            count(layers, "membership/src/advice.rs", "kubectl\n")
        ),
        (1, 0)
    );
    let twice = [
        file("api/src/a.rs", "pub struct Seat(u32);\n"),
        file("agent/src/b.rs", "enum Seat {\n"),
    ];
    assert_eq!((twins(&twice).len(), twins(&twice[..1]).len()), (1, 0));
    let manifests = [
        file("Cargo.toml", "[workspace.dependencies]\nserde = \"1\"\nclap = \"4\"\n"),
        file("a/Cargo.toml", "[dependencies]\nserde.workspace = true\n"),
    ];
    let unused = unused_dependencies(&manifests, &[file("a/src/lib.rs", "")]);
    assert_eq!(
        unused,
        [
            "a/Cargo.toml:2: no file of the package names `serde`",
            "Cargo.toml:3: no package depends on `clap`"
        ]
    );
    let document = file(
        "README.md",
        "See `api/src/a.rs`, [there](docs/b.md#c) and http://a/b.\n",
    );
    assert_eq!(
        dead_paths(&document, &["api".into(), "docs".into()], |path| path == "docs/b.md"),
        ["README.md:1: there is no `api/src/a.rs`"]
    );
}
