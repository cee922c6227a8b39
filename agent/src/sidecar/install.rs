//! A copy of this executable where the other containers of the pod can run it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Copies the running executable to `target`.
///
/// By renaming: an older one there may be running, and is then busy for writing, and
/// half a file is never seen.
pub(crate) fn install(target: &Path) -> io::Result<()> {
    copy(Path::new("/proc/self/exe"), target)
}

fn copy(source: &Path, target: &Path) -> io::Result<()> {
    let temporary = target.with_extension(format!("{}.tmp", std::process::id()));
    let place = || {
        fs::copy(source, &temporary)?;
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755))?;
        fs::rename(&temporary, target)
    };
    place().inspect_err(|_| _ = fs::remove_file(&temporary))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<std::ffi::OsString> {
        fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect()
    }

    #[test]
    fn the_running_executable_is_put_there_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("muster-agent");
        install(&target).unwrap();
        let ours = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(fs::read(&target).unwrap() == ours);
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(names(dir.path()), ["muster-agent"]);
    }

    #[test]
    fn one_that_is_running_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("muster-agent");
        copy(Path::new("/bin/sleep"), &target).unwrap();
        let mut running = std::process::Command::new(&target).arg("60").spawn().unwrap();
        let replaced = copy(Path::new("/bin/sh"), &target);
        running.kill().unwrap();
        running.wait().unwrap();
        replaced.unwrap();
        assert!(fs::read(&target).unwrap() == fs::read("/bin/sh").unwrap());
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("muster-agent");
        fs::create_dir(&target).unwrap();
        assert!(copy(Path::new("/bin/sh"), &target).is_err());
        assert_eq!(names(dir.path()), ["muster-agent"]);
    }
}
