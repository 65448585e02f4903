//! The C library of the oldest Debian that the package is for. A program that is
//! linked against a newer one does not start there: its functions have newer
//! versions, even where nothing about them has changed.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{stamp::Stamp, suites::Apt};
use crate::workspace::Workspace;

const SUITE: &str = "bullseye";
const PACKAGES: [&str; 3] = ["libc6", "libc6-dev", "libgcc-s1"];
/// Where a Debian of this architecture has its libraries.
const LIBRARIES: &str = "lib/x86_64-linux-gnu";

/// Its folder, after a download where it is not here yet.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.tools().join("sysroot");
    let stamp = Stamp::new(workspace, "sysroot", format!("C library of {SUITE}\n"));
    if stamp.is_current() && folder.exists() {
        return Ok(folder);
    }
    eprintln!(
        "setup: will unpack the C library of Debian's {SUITE} into {}",
        workspace.display(&folder)
    );
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove the old C library")?;
    }
    let packages = PACKAGES.map(|package| format!("{package}/{SUITE}"));
    Apt::open(workspace)?
        .unpack(&packages, &folder)
        .with_context(|| format!("cannot get the C library of Debian's {SUITE}"))?;
    for place in [&format!("usr/{LIBRARIES}"), "lib64"] {
        stay_inside(&folder, &folder.join(place))?;
    }
    stamp.write()?;
    Ok(folder)
}

/// What makes the linker use it. The C compiler looks for start files and
/// libraries beside itself first: so both places are named, too.
pub(crate) fn linking(folder: &Path) -> [String; 3] {
    let folder = folder.display();
    [
        format!("-Clink-arg=--sysroot={folder}"),
        format!("-Clink-arg=-B{folder}/usr/{LIBRARIES}/"),
        format!("-Clink-arg=-L{folder}/{LIBRARIES}"),
    ]
}

/// Makes links to absolute paths lead to the same place below `root`.
fn stay_inside(root: &Path, folder: &Path) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let Ok(target) = fs::read_link(&path) else { continue };
        if target.is_absolute() {
            let inside = target.components().filter(|part| matches!(part, Component::Normal(_)));
            let inside = root.join(inside.collect::<PathBuf>());
            fs::remove_file(&path)
                .and_then(|()| symlink(inside, &path))
                .with_context(|| format!("cannot mend {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{env, fs, os::unix::fs::symlink, process};

    use super::stay_inside;

    #[test]
    fn links_to_the_machines_own_libraries_lead_inside() {
        let root = env::temp_dir().join(format!("sipguard-sysroot-{}", process::id()));
        let folder = root.join("usr/lib");
        fs::create_dir_all(&folder).expect("a folder");
        symlink("/lib/libdl.so.2", folder.join("libdl.so")).expect("a link");
        symlink("libc.so.6", folder.join("libc.so")).expect("a link");
        stay_inside(&root, &folder).expect("links");
        assert_eq!(
            fs::read_link(folder.join("libdl.so")).expect("a link"),
            root.join("lib/libdl.so.2")
        );
        assert_eq!(fs::read_link(folder.join("libc.so")).expect("a link").as_os_str(), "libc.so.6");
        fs::remove_dir_all(&root).expect("our own folder");
    }
}
