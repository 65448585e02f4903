//! A Debian system in a folder.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};

use crate::{process, root::Root, tools::suites, workspace::Workspace};

/// Time limit of one command there, in seconds.
const LIMIT: &str = "120";
/// The same of making the system, which takes a download.
const MAKING: &str = "600";

/// What every installation of whatever package changes, and the accounts, which
/// stay on purpose.
const UNTOLD: [&str; 12] = [
    "/etc/.pwd.lock",
    "/etc/group",
    "/etc/gshadow",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/subgid",
    "/etc/subuid",
    "/package.deb",
    "/tmp",
    "/var/cache",
    "/var/lib/dpkg",
    "/var/log",
];

/// A system that goes away with this.
pub(super) struct System<'a> {
    root: &'a Root,
    folder: PathBuf,
    /// Files of the beginning.
    files: BTreeSet<String>,
}

impl<'a> System<'a> {
    /// Unpacks a system of this suite, which is made where there is none yet.
    pub(super) fn new(workspace: &Workspace, root: &'a Root, suite: &str) -> Result<Self> {
        let dist = workspace.target().join("dist");
        let archive = archive(&dist, root, suite)?;
        let mut system =
            Self { root, folder: dist.join("trial").join(suite), files: BTreeSet::new() };
        // What a killed trial has left.
        system.remove()?;
        fs::create_dir_all(dist.join("trial")).context("cannot make the folder of trials")?;
        process::run(root.command("mkdir").arg(&system.folder))?;
        let mut unpack = root.command("tar");
        unpack.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(&system.folder);
        process::run(unpack.arg("--numeric-owner"))?;
        system.files = system.list()?;
        Ok(system)
    }

    /// Installs a package. Gives what was printed.
    pub(super) fn install(&self, package: &Path) -> Result<String> {
        process::run(self.root.command("cp").arg(package).arg(self.folder.join("package.deb")))?;
        self.run(&["dpkg", "--install", "/package.deb"])
    }

    /// Runs a command in it. Gives what was printed.
    pub(super) fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = self.root.command("/usr/bin/unshare");
        command
            .args(["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"])
            .arg("--root")
            .arg(&self.folder)
            .args(["--wd", "/", "--mount-proc"])
            .args(["/usr/bin/timeout", "--kill-after=5", LIMIT])
            .args(["/usr/bin/env", "--ignore-environment", "DEBIAN_FRONTEND=noninteractive"])
            .args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"])
            .args(words)
            .stdin(Stdio::null());
        let output = command.output().context("cannot start unshare")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            let (said, words) = (text(&output.stdout) + &text(&output.stderr), words.join(" "));
            bail!("`{words}` failed: {}\n{said}", output.status);
        }
        Ok(text(&output.stdout))
    }

    /// Files that were not there at the beginning.
    pub(super) fn new_files(&self) -> Result<Vec<String>> {
        let now = self.list()?;
        Ok(now.difference(&self.files).cloned().collect())
    }

    fn list(&self) -> Result<BTreeSet<String>> {
        let mut find = self.root.command("find");
        let all = process::answer(find.arg(&self.folder).args(["-xdev", "-printf", "/%P\\n"]))
            .context("cannot list the system's files")?;
        let untold = |path: &str| {
            UNTOLD.iter().any(|one| {
                path.strip_prefix(one)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '-']))
            })
        };
        Ok(all.lines().filter(|path| !untold(path)).map(str::to_owned).collect())
    }

    fn remove(&self) -> Result<()> {
        let mut remove = self.root.command("rm");
        process::run(remove.args(["-rf", "--one-file-system", "--"]).arg(&self.folder))
    }
}

impl Drop for System<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("warning: {error:#}");
        }
    }
}

/// The archive of a small system.
fn archive(dist: &Path, root: &Root, suite: &str) -> Result<PathBuf> {
    let (archive, beside) =
        (dist.join(format!("{suite}.tar")), dist.join(format!("{suite}.new.tar")));
    if archive.exists() {
        return Ok(archive);
    }
    eprintln!("dist: will make a small Debian {suite} below {}", dist.display());
    let settings = dist.join("apt.conf");
    fs::write(&settings, suites::acquire()).context("cannot write apt's settings")?;
    let mut make = root.command("/usr/bin/timeout");
    let made = make
        .args(["--kill-after=5", MAKING, "/usr/bin/mmdebstrap", "--quiet", "--variant=required"])
        .args(["--mode=root", "--architectures=amd64", "--include=libgcc-s1"])
        .arg(format!("--aptopt={}", settings.display()))
        .arg(suite)
        .arg(&beside)
        .arg(suites::source(suite)?.trim_end());
    process::run(made)?;
    fs::rename(&beside, &archive).context("cannot keep the system's archive")?;
    Ok(archive)
}
