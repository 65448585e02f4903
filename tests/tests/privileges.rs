//! What the daemon may do once it runs: read from the kernel, for every thread,
//! for root and for the user of the unit, and that it works on with that.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{libc, sys::signal::Signal, unistd::Pid};
use tests::rig::{
    confined::{self, NOBODY, Place, word},
    lab::{Lab, STRANGER, STRANGERS, WAN},
    policy::{Folder, Policy},
    process::{self, Process},
    sipguard::{Sipguard, client, state},
    tool::{Tool, can_run},
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Setpriv, Tool::Sipguard];

const PATIENCE: Duration = Duration::from_secs(20);

/// CAP_NET_ADMIN (12), CAP_PERFMON (38) and CAP_BPF (39), of linux/capability.h.
const KEPT: u64 = 1 << 12 | 1 << 38 | 1 << 39;

/// What every thread may.
fn threads(pid: Pid) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // It may have ended.
        found.extend(fs::read_to_string(thread?.path().join("status")).ok());
    }
    ensure!(!found.is_empty(), "no threads");
    Ok(found)
}

/// That no thread of it may more than protect, or could get more.
fn is_confined(pid: Pid) -> Result<usize> {
    let threads = threads(pid)?;
    for thread in &threads {
        ensure!(word(thread, "CapEff:")? == KEPT, "{thread}");
        ensure!(word(thread, "CapPrm:")? == KEPT, "{thread}");
        ensure!(word(thread, "CapBnd:")? == KEPT, "{thread}");
        for none in ["CapInh:", "CapAmb:"] {
            ensure!(word(thread, none)? == 0, "{none} of {thread}");
        }
        ensure!(word(thread, "NoNewPrivs:")? == 1, "{thread}");
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.context("no limit of cores")?.split_whitespace().collect();
    ensure!(core.get(4..6) == Some(&["0", "0"]), "{core:?}");
    Ok(threads.len())
}

/// A program for an alert that writes down what it may, and where it can write.
fn action(folder: &Path, told: &Path) -> Result<String> {
    let script = folder.join("act");
    // Opens for writing, and writes nothing.
    let tries = "for file in /etc/passwd /usr/bin/env /proc/sys/kernel/core_pattern; do \
                 if ( : >> $file ) 2>/dev/null; then echo \"writes $file\"; fi; done";
    let text = format!("#!/bin/sh\n{{ cat /proc/self/status; {tries}; }} > {}\n", told.display());
    fs::write(&script, text)?;
    fs::set_permissions(&script, Permissions::from_mode(0o755))?;
    Ok(format!(
        "[[alerts.action]]\ntype = \"exec\"\nname = \"act\"\ncommand = [\"{}\"]\n",
        script.display()
    ))
}

/// What such a program may: nothing.
fn has_no_rights(told: &Path) -> Result<()> {
    let told = fs::read_to_string(told)?;
    for set in ["CapAmb:", "CapEff:", "CapPrm:", "CapInh:"] {
        ensure!(word(&told, set)? == 0, "{told}");
    }
    ensure!(!told.contains("writes ") || !has_landlock(), "{told}");
    Ok(())
}

/// Whether this kernel bounds where root may write.
fn has_landlock() -> bool {
    const VERSION: u32 = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag it reads nothing, and tells a number.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, VERSION) > 0 }
}

#[test]
fn root_keeps_three_capabilities_and_works_on() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let told = lab.folder().join("told");
    let policy = Policy::usual()?.with_main(&action(lab.folder(), &told)?);
    let arguments = ["--iface", WAN, "--web", "127.0.0.1:9061"];
    let sipguard = Sipguard::start(&lab, &policy, &arguments)?;
    ensure!(is_confined(sipguard.pid())? >= 2, "there is no thread of the history");
    let bounds = sipguard.log().contains("may write wherever its user may");
    ensure!(bounds != has_landlock(), "{}", sipguard.log());
    ensure!(bounds || !sipguard.log().contains("WARN"), "{}", sipguard.log());

    // Reload, entries, alerts, pages and captures as before.
    sipguard.folder().put("blacklist.toml", "[[block]]\naddress = \"198.51.100.9\"\n")?;
    ensure!(sipguard.hang_up()?.0, "{}", sipguard.log());
    let (first, second) = (STRANGER.to_string(), STRANGERS[1].to_string());
    sipguard.command(&["block", &first])?.success()?;
    sipguard.command(&["allow", &second])?.success()?;
    sipguard.command(&["alerts", "--test", "act"])?.success()?;
    has_no_rights(&told)?;
    sipguard.command(&["dashboard"])?.success()?;
    sipguard.command(&["report"])?.success()?;
    sipguard.command(&["why", &first])?.success()?;
    let file = lab.folder().join("one.pcapng").display().to_string();
    sipguard.command(&["capture", "--duration", "1s", "--write", &file])?.success()?;
    // Also the threads that these have started.
    is_confined(sipguard.pid())?;

    let (socket, ended) = (sipguard.socket().to_owned(), sipguard.stop()?.success()?);
    ensure!(!ended.words().to_lowercase().contains("denied"), "{ended}");
    ensure!(!socket.exists(), "its socket is left");
    ensure!(lab.xdp_program(WAN)?.is_none(), "still attached");

    let again = Sipguard::start(&lab, &policy, &arguments)?;
    let entries = again.command(&["list", "blocked"])?.success()?.text();
    ensure!(entries.contains(&first), "{entries}");
    again.stop()?.success().map(drop)
}

#[test]
fn a_user_with_ambient_capabilities_keeps_them_to_itself() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let own = lab.folder().join("own/told");
    let policy = Policy::usual()?.with_main(&action(lab.folder(), &own)?);
    let place = Place::new(&lab, &policy)?;
    let rights = confined::rights()?;
    let all: Vec<&str> = rights.iter().map(String::as_str).collect();
    let process = confined::start(&lab, &place, &all)?;
    protects(&process)?;
    is_confined(process.pid())?;
    // The kernel gives what belongs to a process that may not be dumped to root.
    let files = fs::metadata(format!("/proc/{}/fd", process.pid()))?;
    ensure!(files.uid() == 0, "uid {} may look into it", files.uid());

    // A block asks for the host's addresses, a reload reads everything anew.
    let first = STRANGER.to_string();
    for command in [&["alerts", "--test", "act"][..], &["block", &first], &["reload"]] {
        process::run(&mut client(&lab, &place.socket, command)?, PATIENCE)?.success()?;
    }
    has_no_rights(&own)?;
    is_confined(process.pid())?;
    // The filter of the unit stands in the way of nothing.
    let said = process.stderr().text();
    ensure!(!said.contains("privileges: ") && !said.contains("WARN"), "{said}");
    process.signal(Signal::SIGTERM)?;
    process.finish(PATIENCE)?.success().map(drop)
}

fn protects(process: &Process) -> Result<()> {
    let line = process.stdout().line(PATIENCE, |line| line.starts_with("sipguard: protecting "));
    line.map(drop).with_context(|| format!("it says: {}", process.stderr().text()))
}

/// What root could reach by its powers alone is said at the start, and not at
/// the first reload or restart.
#[test]
fn root_says_at_the_start_what_it_cannot_reach_any_more() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let home = lab.folder().join("home");
    let config = Folder::new(home.join("config"))?;
    let key = home.join("crowdsec.key");
    fs::write(&key, "a key\n")?;
    let crowdsec = format!("[crowdsec]\nurl = \"http://127.0.0.1:9\"\nkey_file = {key:?}\n");
    let action = action(&home, &home.join("told"))?;
    let policy = Policy::usual()?.with_main(&format!("{action}{crowdsec}"));
    policy.write(&config)?;
    let theirs = state(&lab);
    fs::create_dir(&theirs)?;
    for (path, mode) in [(&home, 0o700), (&theirs, 0o750)] {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    let socket = lab.folder().join("control.sock");
    let mut command = client(&lab, &socket, &["run", "--iface", WAN, "--fail-mode", "open"])?;
    command.arg("--config").arg(config.path()).arg("--state").arg(&theirs);
    let process = Process::start(&mut command)?;
    protects(&process)?;
    is_confined(process.pid())?;
    let said = process.stderr().text();
    for (path, what) in [
        (config.path().join("sipguard.toml"), "cannot be read any more"),
        (key, "cannot be read any more"),
        (home.join("act"), "cannot be run any more"),
        (theirs.clone(), "cannot be used any more"),
    ] {
        ensure!(said.contains(&format!("{} {what}", path.display())), "{said}");
    }
    ensure!(said.contains(&format!("belongs to uid {NOBODY}")), "{said}");

    // The policy in force stays.
    process.signal(Signal::SIGHUP)?;
    wait::until("the end of the reload", PATIENCE, || {
        Ok(process.stderr().text().contains("ermission denied").then_some(()))
    })?;
    let mut block = client(&lab, &socket, &["block", &STRANGER.to_string()])?;
    process::run(&mut block, PATIENCE)?.success()?;
    process.signal(Signal::SIGTERM)?;
    process.finish(PATIENCE)?.success()?;
    ensure!(files(&theirs)?.is_empty(), "{:?}", files(&theirs)?);
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect()
}
