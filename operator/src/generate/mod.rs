//! The files that belong to a release, generated from the same code that the operator runs: the manifests, and the
//! list of reasons in the documentation.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::cli::{Generate, Manifest};

mod chart;
pub(crate) mod crd;
mod install;
mod no_operator;
mod reasons;

/// A generated file.
struct File {
    path: PathBuf,
    text: String,
}

/// Writes, prints or checks the generated files.
///
/// # Errors
/// A file cannot be read or written, or, with `check`, differs from what would be written.
pub fn run(request: &Generate) -> anyhow::Result<()> {
    if let Some(manifest) = request.manifest {
        let text = match manifest {
            Manifest::Crd => crd::text()?,
            Manifest::Install => install::text()?,
            Manifest::NoOperator => no_operator::text()?,
        };
        print!("{text}");
        return Ok(());
    }
    if request.check {
        check(&request.dir, &request.docs)
    } else {
        write(&request.dir, &request.docs)
    }
}

/// Compares the manifests in the folder `dir` and the list of reasons in the folder `docs` with this release.
///
/// # Errors
/// A file differs from what would be written, or cannot be read.
pub fn check(dir: &Path, docs: &Path) -> anyhow::Result<()> {
    let mut stale: Vec<PathBuf> = Vec::new();
    for file in files(dir, docs)? {
        if fs::read_to_string(&file.path).ok().as_deref() != Some(&file.text) {
            stale.push(file.path);
        }
    }
    if !stale.is_empty() {
        bail!(
            "not up to date: {stale:?}; run `muster-operator generate --dir {} --docs {}`",
            dir.display(),
            docs.display()
        );
    }
    Ok(())
}

fn write(dir: &Path, docs: &Path) -> anyhow::Result<()> {
    for File { path, text } in files(dir, docs)? {
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn files(dir: &Path, docs: &Path) -> anyhow::Result<Vec<File>> {
    let manifest = |path: &str, text| File {
        path: dir.join(path),
        text,
    };
    Ok(vec![
        manifest("crd.yaml", crd::text()?),
        manifest("install.yaml", install::text()?),
        manifest("no-operator.yaml", no_operator::text()?),
        manifest("chart/crds/etcdclusters.yaml", crd::text()?),
        manifest("chart/templates/operator.yaml", chart::text()?),
        operations(docs)?,
    ])
}

/// The page of the documentation that has the list of reasons.
fn operations(docs: &Path) -> anyhow::Result<File> {
    let path = docs.join("operations.md");
    let page = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}: name its folder with --docs", path.display()))?;
    let text = reasons::page(&page).with_context(|| format!("in {}", path.display()))?;
    Ok(File { path, text })
}

/// One object as YAML, without what a manifest does not say.
fn yaml(object: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_saphyr::to_string(object)?)
}

/// Objects as one manifest.
fn manifest(comment: &str, objects: Vec<String>) -> String {
    let header: String = comment.lines().map(|line| format!("# {line}\n")).collect();
    let bodies: Vec<String> = objects
        .iter()
        .map(|object| format!("{}\n", object.trim_end()))
        .collect();
    format!("{header}{}", bodies.join("---\n"))
}
