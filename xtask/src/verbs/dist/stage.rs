//! What the package has besides the files of the work tree, laid out as below
//! /usr/share: pages of the manual, completions, the crates inside, and what
//! others read, such as dashboards.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{cargo, process, workspace::Workspace};

/// Where each shell looks for completions below /usr/share.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/sipguard"),
    ("zsh", "zsh/vendor-completions/_sipguard"),
    ("fish", "fish/vendor_completions.d/sipguard.fish"),
];

/// Makes all of it anew.
pub(super) fn lay_out(workspace: &Workspace) -> Result<()> {
    // cargo-deb knows this place as target/release/package.
    let folder = workspace.target().join("release/package");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove the last package's files")?;
    }
    let pages = made(&folder, "man/man8")?;
    process::run(Command::new(workspace.sipguard()).arg("manual").arg(&pages))?;
    compress(&pages)?;
    for (shell, path) in COMPLETIONS {
        let script =
            process::answer(Command::new(workspace.sipguard()).args(["completions", shell]))
                .with_context(|| format!("no completions for {shell}"))?;
        write(&folder.join(path), &script)?;
    }
    write(&folder.join("doc/sipguard/crates.txt"), &crates(workspace)?)?;
    let config = workspace.root().join("config");
    copy_others(&config, &made(&folder, "sipguard")?)
}

/// As pages of the manual are installed; without times, so that the same comes
/// out again.
fn compress(pages: &Path) -> Result<()> {
    let mut gzip = Command::new("gzip");
    gzip.args(["--best", "--no-name"]);
    for page in fs::read_dir(pages).context("cannot read the pages")? {
        gzip.arg(page?.path());
    }
    process::run(&mut gzip)
}

/// Everything below `from` but the policy's own files, which go to /etc.
fn copy_others(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let name = path.file_name().context("a file without a name")?;
        let to = to.join(name);
        if path.is_dir() {
            fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
            copy_others(&path, &to)?;
        } else if path.extension().is_none_or(|end| end != "toml") {
            fs::copy(&path, &to).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}

/// Name, version and license of each crate that is compiled in.
fn crates(workspace: &Workspace) -> Result<String> {
    let tree = process::answer(cargo::host(workspace).args([
        "tree",
        "--package",
        "sipguard",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--locked",
        "--no-dedupe",
        "--format",
        "{p}\t{l}",
    ]))
    .context("cargo tree has no answer")?;
    let metadata = process::answer(cargo::host(workspace).args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--no-deps",
    ]))
    .context("cargo metadata has no answer")?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let own: Vec<&str> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|package| package["name"].as_str())
        .collect();
    Ok(listed(&tree, &own))
}

/// Lines of `name vX.Y.Z (notes)` and license, each crate once, without our own.
fn listed(tree: &str, own: &[&str]) -> String {
    let line = |line: &str| {
        let (package, license) = line.split_once('\t')?;
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?);
        (!own.contains(&name)).then(|| (format!("{name} {version}"), license.trim().to_owned()))
    };
    let all: BTreeMap<String, String> = tree.lines().filter_map(line).collect();
    all.iter().map(|(name, license)| format!("{name}\t{license}\n")).collect()
}

fn made(folder: &Path, path: &str) -> Result<PathBuf> {
    let folder = folder.join(path);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn write(path: &Path, text: &str) -> Result<()> {
    let parent = path.parent().context("a file without a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn each_crate_is_listed_once_and_ours_are_not() {
        let tree = "sipguard v0.1.0 (/w/sipguard)\tGPL\nserde v1.0.1\tMIT OR Apache-2.0\n\
                    clap v4.6.7 (proc-macro)\tMIT\nserde v1.0.1\tMIT OR Apache-2.0\n\n";
        assert_eq!(
            listed(tree, &["sipguard"]),
            "clap v4.6.7\tMIT\nserde v1.0.1\tMIT OR Apache-2.0\n"
        );
    }
}
