//! The rules that look at one source: each gives the lines that break it, counted from 1, and what to do.

use muster_reasons::Reason;

use crate::repository::File;

const LINES_OF_A_FILE: usize = 500;
const LINES_OF_A_FUNCTION: usize = 70;
/// Functions that may be longer, each with its reason. Empty is best.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];
/// First words of a doc comment that begin a clause where a noun or a verb should stand.
const RIDDLES: &[&str] = &["What", "How", "Whether", "Who", "Why", "Where", "Since", "When"];

/// A wall: texts that the code of a folder may not contain.
struct Wall {
    folder: &'static str,
    /// The one file of the folder that may contain them.
    except: Option<&'static str>,
    texts: &'static [&'static str],
    why: &'static str,
}

const WALLS: &[Wall] = &[
    Wall {
        folder: "membership/src/",
        except: None,
        texts: &["kube::", "k8s_openapi", "tokio::"],
        why: "the core is pure",
    },
    Wall {
        folder: "membership/src/",
        except: Some("advice.rs"),
        texts: &["kubectl"],
        why: "commands are advice",
    },
    Wall {
        folder: "agent/src/launcher/",
        except: None,
        texts: &["crate::sidecar", "crate::kubernetes", "crate::etcd"],
        why: "the launcher is to fit into a small binary of its own",
    },
    Wall {
        folder: "agent/src/socket/",
        except: None,
        texts: &["crate::sidecar", "crate::kubernetes", "crate::etcd"],
        why: "the launcher needs the socket, and is to fit into a small binary of its own",
    },
    Wall {
        folder: "agent/src/hook/",
        except: Some("without_agent.rs"),
        texts: &["crate::sidecar", "crate::kubernetes", "crate::etcd"],
        why: "only a hook without an agent asks etcd",
    },
    Wall {
        folder: "operator/src/plan/",
        except: None,
        texts: &["kube::Client", "Api<", ".await"],
        why: "a plan is pure",
    },
    Wall {
        folder: "operator/src/build/",
        except: None,
        texts: &["kube::Client", "Api<", ".await"],
        why: "building is pure",
    },
];

pub(crate) type Complaints = Vec<(usize, String)>;

pub(crate) const RULES: &[fn(&File) -> Complaints] = &[
    header,
    file_length,
    function_length,
    doc_heads,
    home_of_tests,
    reasons,
    walls,
];

pub(crate) fn header(file: &File) -> Complaints {
    match file.text.starts_with("//! ") {
        true => vec![],
        false => vec![(1, "begins without a header: say in `//!` what the file is about".into())],
    }
}

pub(crate) fn file_length(file: &File) -> Complaints {
    match file.text.lines().count() {
        0..=LINES_OF_A_FILE => vec![],
        lines => vec![(
            lines,
            format!("beyond {LINES_OF_A_FILE} lines: split the file along an idea"),
        )],
    }
}

pub(crate) fn function_length(file: &File) -> Complaints {
    let lines: Vec<_> = file.text.lines().collect();
    let mut complaints = vec![];
    for (at, line) in lines.iter().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let words = line.split([' ', '(', ')', '<']);
        let mut words = words.skip_while(|word| ["", "pub", "crate", "super", "const", "async"].contains(word));
        let (Some("fn"), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        let end = format!("{indent}}}");
        let length = lines[at..]
            .iter()
            .position(|line| *line == end)
            .map_or(0, |last| last + 1);
        let one_line = line.ends_with('}') || line.ends_with(';');
        let may = LONG_FUNCTIONS.iter().any(|(long, _)| *long == name);
        if length > LINES_OF_A_FUNCTION && !one_line && !may {
            complaints.push((at + 1, format!("`{name}` has {length} lines: cut it along an idea")));
        }
    }
    complaints
}

pub(crate) fn doc_heads(file: &File) -> Complaints {
    let mut complaints = vec![];
    let mut inside = false;
    for (at, line) in file.text.lines().enumerate() {
        let line = line.trim_start();
        let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        let first = doc
            .and_then(|doc| doc.split([' ', ',', ':']).nth(1))
            .unwrap_or_default();
        if !inside && RIDDLES.contains(&first) {
            complaints.push((
                at + 1,
                format!("a doc comment begins with `{first}`: begin with a noun or a verb"),
            ));
        }
        inside = doc.is_some();
    }
    complaints
}

pub(crate) fn home_of_tests(file: &File) -> Complaints {
    let elsewhere = file.path.contains("/src/") && file.path.ends_with("_tests.rs");
    let lines = file.text.lines().enumerate();
    let paths = lines.filter(|(_, line)| line.trim_start().starts_with("#[path"));
    let why = "unit tests live in `mod tests` of their file, or in `tests.rs` beside it";
    let broken = elsewhere.then_some(0).into_iter().chain(paths.map(|(at, _)| at));
    broken.map(|at| (at + 1, why.into())).collect()
}

pub(crate) fn reasons(file: &File) -> Complaints {
    // Some types of conditions are words of the table too, and `Unknown` is a status.
    if !file.is_in(&["agent/src/", "operator/src/"]) || file.path.ends_with("/conditions.rs") {
        return vec![];
    }
    let names = Reason::ALL.iter().map(|reason| reason.name());
    let literals: Vec<_> = names.map(|name| (name, format!("\"{name}\""))).collect();
    let written_out = |(at, line): (usize, &str)| {
        let (name, _) = literals.iter().find(|(_, literal)| line.contains(literal.as_str()))?;
        Some((at, format!("writes a reason out: take `Reason::{name}` from the table")))
    };
    file.product_lines().filter_map(written_out).collect()
}

/// The product's lines of code, with `use crate::{a, b}` written as `crate::a crate::b`.
fn code(file: &File) -> impl Iterator<Item = (usize, String)> {
    let mut group = false;
    let lines = file
        .product_lines()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.map(move |(at, line)| {
        group |= line.contains("use crate::{");
        let names = line.replace("use crate::{", "").replace(['{', '}', ' '], "");
        let shown = match group {
            true => names.split(',').map(|name| format!("crate::{name} ")).collect(),
            false => line.to_owned(),
        };
        group &= !line.contains(';');
        (at, shown)
    })
}

pub(crate) fn walls(file: &File) -> Complaints {
    let mut complaints = vec![];
    for wall in WALLS.iter().filter(|wall| file.path.starts_with(wall.folder)) {
        if wall.except.is_some_and(|except| file.path.ends_with(except)) {
            continue;
        }
        for (at, line) in code(file) {
            let text = wall.texts.iter().find(|text| line.contains(**text));
            complaints.extend(text.map(|text| (at, format!("names `{text}`: {}", wall.why))));
        }
    }
    complaints
}
