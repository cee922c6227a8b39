//! The manifests that belong to a release, generated from the same code that
//! the operator runs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::cli::{Generate, Manifest};

mod chart;
mod crd;
mod install;
mod no_operator;

/// A generated file.
struct File {
    path: &'static str,
    text: String,
}

/// Writes, prints or checks manifests.
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
        check(&request.dir)
    } else {
        write(&request.dir)
    }
}

/// Fails if a file differs from what would be written.
pub fn check(dir: &Path) -> anyhow::Result<()> {
    let mut stale: Vec<PathBuf> = Vec::new();
    for file in files()? {
        let path = dir.join(file.path);
        if fs::read_to_string(&path).ok().as_deref() != Some(&file.text) {
            stale.push(path);
        }
    }
    if !stale.is_empty() {
        bail!(
            "not up to date: {stale:?}; run `muster-operator generate --dir {}`",
            dir.display()
        );
    }
    Ok(())
}

fn write(dir: &Path) -> anyhow::Result<()> {
    for file in files()? {
        let path = dir.join(file.path);
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&path, file.text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn files() -> anyhow::Result<Vec<File>> {
    Ok(vec![
        File {
            path: "crd.yaml",
            text: crd::text()?,
        },
        File {
            path: "install.yaml",
            text: install::text()?,
        },
        File {
            path: "no-operator.yaml",
            text: no_operator::text()?,
        },
        File {
            path: "chart/crds/etcdclusters.yaml",
            text: crd::text()?,
        },
        File {
            path: "chart/templates/operator.yaml",
            text: chart::text()?,
        },
    ])
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
