//! Part of `ci`: licences, origins, duplicates and known holes of what we depend on.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{cargo, process, tools::installed, workspace::Workspace};

/// Seconds that fetching the database of advisories may take.
const PATIENCE: &str = "120";

/// The manifests of both workspaces.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "fuzz/Cargo.toml"];

/// Checks all of it by `deny.toml`. The database of advisories is a repository of
/// Git and in no registry of packages: where it can neither be fetched nor is there
/// from before, that is said, and is no failure.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let program = installed::CARGO_DENY.ensure(workspace)?;
    let deny = |manifest: &str, arguments: &[&str]| {
        let mut command = Command::new(&program);
        cargo::forget_outer_cargo(&mut command);
        command
            .args(["--log-level", "error", "--locked", "--manifest-path"])
            .arg(workspace.root().join(manifest))
            .arg("--config")
            .arg(workspace.root().join("deny.toml"))
            .args(arguments)
            .current_dir(workspace.root());
        command
    };
    let run = |what: &[&str]| {
        MANIFESTS.iter().try_for_each(|manifest| {
            process::run(&mut deny(manifest, what))
                .context("cargo deny has found something: change the crate, or deny.toml with why")
        })
    };
    run(&["check", "bans", "licenses", "sources"])?;
    if has_advisories(workspace, &deny(MANIFESTS[0], &["fetch", "db"]))? {
        return run(&["--offline", "check", "advisories"]);
    }
    eprintln!(
        "NOT CHECKED: the advisories of RustSec, for their database can neither be fetched here \
         nor is it in {}",
        databases().display()
    );
    Ok(())
}

/// Fetches the database; gives whether there is one now, be it of an earlier day.
fn has_advisories(workspace: &Workspace, fetch: &Command) -> Result<bool> {
    let mut bounded = Command::new(env::current_exe().context("cannot find this program")?);
    bounded
        .args(["bounded", "--seconds", PATIENCE, "--"])
        .arg(fetch.get_program())
        .args(fetch.get_args())
        // Nobody is there to be asked for a password.
        .env("GIT_TERMINAL_PROMPT", "0")
        .current_dir(workspace.root());
    Ok(process::answer(&mut bounded).is_some() || is_filled(&databases()))
}

fn is_filled(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    // An attempt that failed leaves a folder without any advisory.
    entries.flatten().any(|entry| entry.path().join("crates").is_dir())
}

/// Where cargo-deny keeps databases.
fn databases() -> PathBuf {
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cargo");
    cargo.unwrap_or_else(home).join("advisory-dbs")
}
