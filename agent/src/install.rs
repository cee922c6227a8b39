//! Putting this very executable where the other containers of the pod can run it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Copies the running executable to `target`.
///
/// By renaming: an older one there may be running, and is then busy for writing, and
/// nobody ever sees half a file.
pub fn install(target: &Path) -> io::Result<()> {
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
