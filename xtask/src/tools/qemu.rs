//! QEMU, installed where apt can do that without removing anything; else, as
//! beside a newer part of it from elsewhere, unpacked into the tools' folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    apt,
    packages::{Package, QEMU},
    stamp::Stamp,
};
use crate::{process, workspace::Workspace};

const APT_GET: &str = "/usr/bin/apt-get";

/// Where the program is, in the system or below a folder.
const PROGRAM: &str = "usr/bin/qemu-system-x86_64";

/// Where its libraries and its firmware are, likewise.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
const DATA: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// A QEMU that runs here.
#[derive(Clone, Debug)]
pub(crate) struct Qemu {
    /// `/`, or the folder that it was unpacked into.
    root: PathBuf,
}

impl Qemu {
    /// Finds it, installs it, or unpacks it.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self> {
        let system = Self { root: "/".into() };
        if QEMU.is_installed() {
            return Ok(system);
        }
        let folder = workspace.tools().join("qemu");
        if folder.join(PROGRAM).exists() && stamp(workspace).is_current() {
            return Ok(Self { root: folder });
        }
        match apt::ensure(&[&QEMU], "virtual machines") {
            Ok(()) => Ok(system),
            Err(error) => {
                eprintln!(
                    "setup: will unpack {} and what it needs into {}, for apt cannot install it \
                     here: {error:#}",
                    QEMU.name,
                    workspace.display(&folder)
                );
                unpack(&QEMU, &folder).context("cannot unpack QEMU")?;
                stamp(workspace).write()?;
                Ok(Self { root: folder })
            }
        }
    }

    /// A command that runs it, within a limit that `bounded` sets.
    pub(crate) fn command(&self, mut bounded: Command) -> Command {
        bounded.arg(self.root.join(PROGRAM));
        if self.root != Path::new("/") {
            let libraries = LIBRARIES.map(|folder| self.root.join(folder).display().to_string());
            bounded.env("LD_LIBRARY_PATH", libraries.join(":"));
            for folder in DATA {
                bounded.arg("-L").arg(self.root.join(folder));
            }
        }
        bounded
    }
}

fn stamp(workspace: &Workspace) -> Stamp {
    Stamp::new(workspace, "qemu", format!("{}\n", QEMU.name))
}

/// Downloads a package and whatever of its needs this machine does not have, and
/// unpacks them.
fn unpack(package: &Package, folder: &Path) -> Result<()> {
    // What is left of an earlier try.
    let _ = fs::remove_dir_all(folder);
    let archives = folder.join("packages");
    fs::create_dir_all(&archives).context("cannot make the folder")?;
    let simulate = ["install", "--simulate", "--no-install-recommends", package.name];
    let told = process::answer(Command::new(APT_GET).args(simulate))
        .context("apt does not say what it would install")?;
    let names = would_install(&told);
    ensure!(names.iter().any(|name| name == package.name), "apt does not offer {}", package.name);
    process::run(
        Command::new(APT_GET).args(["download", "--quiet=2"]).args(&names).current_dir(&archives),
    )?;
    for archive in fs::read_dir(&archives)? {
        process::run(Command::new("dpkg-deb").arg("-x").arg(archive?.path()).arg(folder))?;
    }
    fs::remove_dir_all(&archives).context("cannot remove the packages")
}

/// The packages that a simulated installation names: `Inst NAME (VERSION ...`.
fn would_install(told: &str) -> Vec<String> {
    let names = told.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::would_install;

    #[test]
    fn what_would_be_installed_is_read_and_what_would_go_is_not() {
        let told = "Reading package lists...\nRemv qemu-utils [1:10.0.2]\n\
            Inst libfdt1 (1.6.1-4+b1 Debian:12.12/oldstable [amd64])\n\
            Inst qemu-system-x86 (1:7.2 Debian:12.12/oldstable [amd64])\n\
            Conf libfdt1 (1.6.1-4+b1 Debian:12.12/oldstable [amd64])\n";
        assert_eq!(would_install(told), ["libfdt1", "qemu-system-x86"]);
    }
}
