//! The package in fresh Debian systems: folders below target/dist, with an
//! empty network, processes and mounts of their own. No service runs there, and
//! nothing of the machine's own is touched.

mod system;

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use self::system::System;
use super::package::{self, Package};
use crate::{root::Root, verbs::test::libtest::Totals, workspace::Workspace};

/// The Debians that it is for.
const SUITES: [&str; 3] = ["bullseye", "bookworm", "trixie"];

/// What the repacked package has in a file that nobody has changed, and what an
/// operator writes into one.
const NEW_FILE: &str = "etc/sipguard/blacklist.toml";
const NEW_LINE: &str = "# from the newer package\n";
const CHANGED_FILE: &str = "/etc/sipguard/trusted.toml";
const CHANGED_LINE: &str = "# by the operator";

/// Files that must be there after an installation.
const FILES: &[&str] = &[
    "/usr/share/man/man8/sipguard.8.gz",
    "/usr/share/man/man8/sipguard-run.8.gz",
    "/usr/share/man/man8/sipguard-doctor.8.gz",
    "/usr/share/bash-completion/completions/sipguard",
    "/usr/share/zsh/vendor-completions/_sipguard",
    "/usr/share/fish/vendor_completions.d/sipguard.fish",
    "/usr/share/doc/sipguard/copyright",
    "/usr/share/doc/sipguard/crates.txt",
    "/usr/share/doc/sipguard/docs/reference.md",
    "/usr/lib/sysusers.d/sipguard.conf",
    "/usr/lib/tmpfiles.d/sipguard.conf",
    "/etc/systemd/system/multi-user.target.wants/sipguard.service",
];

type Check = (&'static str, fn(&System, &Packages) -> Result<()>);

/// In this order: each builds on those before it.
const CHECKS: [Check; 6] = [
    ("installs", installs),
    ("starts with its C library", starts),
    ("has its files and user", has_files),
    ("keeps changes over an upgrade", upgrades),
    ("is removed without its configuration", is_removed),
    ("is purged without a trace", is_purged),
];

/// What is tried.
struct Packages<'a> {
    old: &'a Package,
    new: Package,
}

/// Tries the package in each Debian. Each check counts as one test.
pub(super) fn run(workspace: &Workspace, package: &Package) -> Result<Totals> {
    let root = Root::obtain(
        "making Debian systems to try the package in",
        "run `cargo xtask dist --test` again",
    )?;
    let version = format!("{}+new", package.version);
    let new = package::repacked(package, &version, (NEW_FILE, NEW_LINE))?;
    let packages = Packages { old: package, new };
    let mut totals = Totals::default();
    for suite in SUITES {
        let started = Instant::now();
        match System::new(workspace, &root, suite) {
            Ok(system) => totals += try_in(&system, suite, &packages),
            // Whatever keeps it from that is a failure of all its checks.
            Err(error) => {
                println!("dist: {suite}: cannot be had: {error:#}");
                totals.failed += u64::try_from(CHECKS.len())?;
            }
        }
        println!("dist: {suite}: {:.1} s", started.elapsed().as_secs_f32());
    }
    Ok(totals)
}

fn try_in(system: &System, suite: &str, packages: &Packages) -> Totals {
    let mut totals = Totals::default();
    for (name, check) in CHECKS {
        match check(system, packages) {
            Ok(()) => {
                println!("dist: {suite}: {name} ... ok");
                totals.passed += 1;
            }
            Err(error) => {
                println!("dist: {suite}: {name} ... FAILED: {error:#}");
                totals.failed += 1;
            }
        }
    }
    totals
}

fn installs(system: &System, packages: &Packages) -> Result<()> {
    let said = system.install(&packages.old.path)?;
    // Only the operator knows the interface.
    ensure!(said.contains("protects nothing yet"), "it does not say what to do next:\n{said}");
    Ok(())
}

fn starts(system: &System, packages: &Packages) -> Result<()> {
    let version = system.run(&["sipguard", "--version"])?;
    ensure!(version.trim() == format!("sipguard {}", packages.old.version), "it is {version}");
    let checked = system.run(&["sipguard", "check"])?;
    ensure!(checked.starts_with("no errors: "), "sipguard check says {checked}");
    // A problem: no interface is named yet.
    let found = system.run(&["sh", "-c", "sipguard doctor --json; test $? = 1"])?;
    let found: serde_json::Value =
        serde_json::from_str(&found).context("sipguard doctor --json")?;
    let level = |check: &str| {
        let all = found["findings"].as_array().into_iter().flatten();
        all.filter(|one| one["check"] == check).map(|one| one["level"].clone()).next()
    };
    ensure!(level("binary") == Some("ok".into()), "no kernel program inside: {found}");
    ensure!(level("configuration") == Some("ok".into()), "a bad configuration: {found}");
    Ok(())
}

fn has_files(system: &System, _: &Packages) -> Result<()> {
    for file in FILES {
        system
            .run(&["sh", "-c", &format!("test -s {file}")])
            .with_context(|| format!("no {file}"))?;
    }
    system.run(&["gzip", "--test", FILES[0]]).context("its page of the manual is damaged")?;
    let state = system.run(&["stat", "--format", "%U:%G %a", "/var/lib/sipguard"])?;
    ensure!(state.trim() == "sipguard:sipguard 750", "/var/lib/sipguard is {state}");
    let user = system.run(&["getent", "passwd", "sipguard"])?;
    ensure!(user.trim_end().ends_with("nologin"), "its user may log in: {user}");
    Ok(())
}

fn upgrades(system: &System, packages: &Packages) -> Result<()> {
    system.run(&["sh", "-c", &format!("echo '{CHANGED_LINE}' >> {CHANGED_FILE}")])?;
    let said = system.install(&packages.new.path)?;
    ensure!(!said.contains("protects nothing yet"), "it takes an upgrade for new:\n{said}");
    system.run(&["grep", "-qxF", CHANGED_LINE, CHANGED_FILE]).context("a change is lost")?;
    let new_file = format!("/{NEW_FILE}");
    system
        .run(&["grep", "-qxF", NEW_LINE.trim_end(), &new_file])
        .context("a file that nobody has changed is the old one")?;
    let version =
        system.run(&["dpkg-query", "--show", "--showformat", "${Version}", "sipguard"])?;
    ensure!(version == packages.new.version, "it is still {version}");
    system.run(&["sipguard", "check"]).map(drop)
}

fn is_removed(system: &System, _: &Packages) -> Result<()> {
    // As a daemon leaves it.
    system.run(&["sh", "-c", "echo x > /var/lib/sipguard/history.db"])?;
    system.run(&["dpkg", "--remove", "sipguard"])?;
    system.run(&["sh", "-c", "! test -e /usr/bin/sipguard"]).context("the program is there")?;
    system.run(&["grep", "-qxF", CHANGED_LINE, CHANGED_FILE]).context("a change is lost")?;
    system
        .run(&["test", "-e", "/var/lib/sipguard/history.db"])
        .context("its state is lost")
        .map(drop)
}

fn is_purged(system: &System, _: &Packages) -> Result<()> {
    system.run(&["dpkg", "--purge", "sipguard"])?;
    let left = system.new_files()?;
    ensure!(left.is_empty(), "it leaves {}", left.join(" "));
    Ok(())
}
