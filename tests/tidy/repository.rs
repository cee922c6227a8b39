//! The repository as text: its files, and the rules that look at several of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Folders of the product, in which no two types share a name.
const PRODUCT: &[&str] = &[
    "reasons/src/",
    "membership/src/",
    "api/src/",
    "agent/src/",
    "operator/src/",
];

/// A file of the repository.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_in(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }

    /// The lines outside unit tests, counted from 1.
    pub(crate) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let all_tests = self.path.ends_with("/tests.rs");
        let lines = self
            .text
            .lines()
            .take_while(move |line| !all_tests && *line != "mod tests {");
        lines.enumerate().map(|(at, line)| (at + 1, line))
    }

    /// The keys of those sections of a manifest that `section` picks, with their lines.
    fn keys(&self, section: impl Fn(&str) -> bool) -> Vec<(usize, &str)> {
        let mut inside = false;
        let mut keys = vec![];
        for (at, line) in self.text.lines().enumerate() {
            if line.starts_with('[') {
                inside = section(line);
            } else if inside && line.starts_with(|first: char| first.is_ascii_lowercase()) {
                keys.push((at + 1, line.split(['.', ' ', '=']).next().unwrap_or_default()));
            }
        }
        keys
    }
}

/// The files that git knows of, or would add.
pub(crate) fn files() -> (PathBuf, Vec<String>) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).expect("the root of the repository").to_owned();
    let listed = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").current_dir(&root).args(listed).output();
    let names = String::from_utf8(output.expect("git lists the files").stdout).expect("names in UTF-8");
    let names = names.lines().filter(|name| root.join(name).is_file());
    let names = names.map(str::to_owned).collect();
    (root, names)
}

/// The files whose names end so.
pub(crate) fn read(root: &Path, names: &[String], end: &str) -> Vec<File> {
    let file = |path: &String| File {
        path: path.clone(),
        text: fs::read_to_string(root.join(path)).expect("a text file"),
    };
    names.iter().filter(|name| name.ends_with(end)).map(file).collect()
}

/// True if the code, without its comments, has this identifier.
fn has_identifier(code: &str, name: &str) -> bool {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut words = lines.flat_map(|line| line.split(|letter: char| letter != '_' && !letter.is_alphanumeric()));
    words.any(|word| word == name)
}

/// Types of the product that share a name. Associated types, which are indented, have no name of their own.
pub(crate) fn twins(sources: &[File]) -> Vec<String> {
    let mut homes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in sources.iter().filter(|file| file.is_in(PRODUCT)) {
        for (at, line) in file.product_lines().filter(|(_, line)| !line.starts_with(' ')) {
            let words = line.split([' ', '<', '(', ')', ';', '{', ':']);
            let mut words = words.skip_while(|word| ["", "pub", "crate", "super"].contains(word));
            if let (Some("struct" | "enum" | "trait" | "type"), Some(name)) = (words.next(), words.next()) {
                homes.entry(name).or_default().push(format!("{}:{at}", file.path));
            }
        }
    }
    let twice = homes.into_iter().filter(|(_, homes)| homes.len() > 1);
    twice
        .map(|(name, homes)| format!("{}: the type name `{name}` is taken twice", homes.join(", ")))
        .collect()
}

/// Dependencies that no file of their package names, and workspace dependencies that no package has.
pub(crate) fn unused_dependencies(manifests: &[File], sources: &[File]) -> Vec<String> {
    let of_package = |line: &str| ["[dependencies]", "[dev-dependencies]", "[build-dependencies]"].contains(&line);
    let (workspace, packages): (Vec<_>, Vec<_>) = manifests.iter().partition(|manifest| manifest.path == "Cargo.toml");
    let folder = |manifest: &File| manifest.path.trim_end_matches("Cargo.toml").to_owned();
    let mut complaints = vec![];
    for package in &packages {
        // The innermost package that a source lies in is its own.
        let home = |source: &File| {
            let around = packages.iter().map(|package| folder(package));
            around
                .filter(|around| source.path.starts_with(around))
                .max_by_key(String::len)
        };
        let own: Vec<_> = sources
            .iter()
            .filter(|source| home(source) == Some(folder(package)))
            .collect();
        for (at, name) in package.keys(of_package) {
            let name = name.replace('-', "_");
            if !own.iter().any(|source| has_identifier(&source.text, &name)) {
                complaints.push(format!("{}:{at}: no file of the package names `{name}`", package.path));
            }
        }
    }
    for (at, name) in workspace
        .iter()
        .flat_map(|file| file.keys(|line| line == "[workspace.dependencies]"))
    {
        let mut keys = packages.iter().flat_map(|package| package.keys(of_package));
        if !keys.any(|(_, own)| own == name) {
            complaints.push(format!("Cargo.toml:{at}: no package depends on `{name}`"));
        }
    }
    complaints
}

/// Paths into the repository's `folders` that a document names and that do not exist.
pub(crate) fn dead_paths(document: &File, folders: &[&str], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = vec![];
    for (at, line) in document.text.lines().enumerate() {
        let words = line.split(|letter: char| letter.is_whitespace() || "`()[]<>,;\"'".contains(letter));
        // A link may also lead to a file in the same folder.
        let links: Vec<_> = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .collect();
        for word in words {
            let path = word
                .split('#')
                .next()
                .unwrap_or_default()
                .trim_end_matches(['.', ':', '/']);
            let link = links.contains(&word) && !path.is_empty() && !path.contains(':');
            let ours = link || path.split_once('/').is_some_and(|(first, _)| folders.contains(&first));
            if ours && !path.contains(['*', '{', '$', '=', '…', '|']) && !exists(path) {
                complaints.push(format!("{}:{}: there is no `{path}`", document.path, at + 1));
            }
        }
    }
    complaints.dedup();
    complaints
}
