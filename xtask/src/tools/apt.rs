//! Installing Debian packages.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use super::packages::Package;
use crate::{process, root::Root};

const APT_GET: &str = "/usr/bin/apt-get";
const APT_CACHE: &str = "/usr/bin/apt-cache";
const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// Whether this machine has apt.
pub(crate) fn is_there() -> bool {
    Path::new(APT_GET).exists()
}

/// Whether apt offers all of these, after an update of its lists where it
/// knows some of them not.
pub(crate) fn offers(packages: &[&Package], root: &Root) -> Result<bool> {
    if knows(packages) {
        return Ok(true);
    }
    update(root)?;
    Ok(knows(packages))
}

/// Installs the packages, which apt was asked about before.
///
/// # Errors
/// Also where apt would have to remove another package for these.
pub(crate) fn install(packages: &[&Package], root: &Root) -> Result<()> {
    for package in packages {
        eprintln!("setup: will install Debian package {} ({})", package.name, package.purpose);
    }
    for service in packages.iter().filter_map(|package| package.service) {
        mask(service, root)?;
    }
    if try_install(packages, root).is_ok() {
        return Ok(());
    }
    // The usual reason is a list that names versions which are gone.
    eprintln!("setup: apt-get failed; updating its lists, then trying once more");
    update(root)?;
    try_install(packages, root)
        .with_context(|| format!("install by hand: apt-get install {}", names(packages)))
}

/// Installs what is missing of `packages`, or says why that cannot be.
pub(crate) fn ensure(packages: &[&Package], purpose: &str) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = names(packages);
    if !is_there() {
        bail!("{purpose} needs what Debian has in these packages: {names}; install them by hand");
    }
    let root = Root::obtain(
        &format!("installing Debian packages for {purpose}"),
        &format!("apt-get install {names}"),
    )?;
    if !offers(packages, &root)? {
        bail!("{purpose} needs packages that apt does not offer: {names}");
    }
    install(packages, &root)
}

fn knows(packages: &[&Package]) -> bool {
    packages.iter().all(|package| {
        process::answer(Command::new(APT_CACHE).args(["policy", package.name])).is_some_and(
            |policy| policy.contains("Candidate:") && !policy.contains("Candidate: (none)"),
        )
    })
}

fn update(root: &Root) -> Result<()> {
    process::run(root.command(APT_GET).args(["update", "--quiet"]))
}

fn try_install(packages: &[&Package], root: &Root) -> Result<()> {
    process::run(
        root.command("/usr/bin/env")
            .args(["DEBIAN_FRONTEND=noninteractive", APT_GET, "install", "--yes", "--quiet"])
            .args(["--no-install-recommends", "--no-remove"])
            .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"])
            .args(packages.iter().map(|package| package.name)),
    )
}

/// Keeps a service from starting, now and at boot. Without systemd there is
/// nothing that would start it.
fn mask(service: &str, root: &Root) -> Result<()> {
    if !Path::new(SYSTEMCTL).exists() {
        return Ok(());
    }
    eprintln!("setup: will mask {service}, so that it is there for the tests only");
    process::run(root.command(SYSTEMCTL).args(["mask", service]))
}

fn names(packages: &[&Package]) -> String {
    packages.iter().map(|package| package.name).collect::<Vec<_>>().join(" ")
}
