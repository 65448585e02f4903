//! Where state and log are kept.

use std::path::Path;

use nix::{
    sys::statvfs::statvfs,
    unistd::{AccessFlags, eaccess},
};

use super::{Check, Finding, machine::Machine};
use crate::policy::Plan;

/// MiB that the history may grow to.
const WANTED: u64 = 256;

pub(super) fn examine(machine: &Machine, plan: &Plan) -> Vec<Finding> {
    let mut findings = vec![directory(&plan.state)];
    findings.extend(journal(machine));
    findings
}

/// What is not there yet is made below the first folder that is.
fn directory(state: &Path) -> Finding {
    let Some(place) = state.ancestors().find(|folder| folder.is_dir()) else {
        return lost(format!("{} cannot be made", state.display()));
    };
    if eaccess(place, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        let root = nix::unistd::geteuid().is_root();
        let found = format!("{} cannot be written by this user", place.display());
        // Whoever is not root does not run the service.
        return if root { lost(found) } else { Finding::note(Check::State, found) };
    }
    let free =
        statvfs(place).map_or(0, |disk| disk.blocks_available() * disk.fragment_size()) >> 20;
    let found = format!("{} can be written, {free} MiB are free", state.display());
    match free < WANTED {
        true => Finding::warning(Check::State, found)
            .why(format!(
                "the history grows to {WANTED} MiB at most; on a full disk it goes on in memory"
            ))
            .remedy("free some space, or move it: `directory` under [state] in sipguard.toml"),
        false => Finding::ok(Check::State, found),
    }
}

fn lost(found: String) -> Finding {
    Finding::warning(Check::State, found)
        .why("bans, entries by hand and history do not survive a restart")
        .remedy("choose another place: `directory` under [state] in sipguard.toml")
}

fn journal(machine: &Machine) -> Option<Finding> {
    // Without systemd, logs go wherever sipguard's stderr goes.
    if !machine.exists("run/systemd/system") {
        return None;
    }
    let kept = machine.exists("var/log/journal") || machine.exists("run/rsyslogd.pid");
    Some(match kept {
        true => Finding::ok(Check::Journal, "the log survives a restart of the machine"),
        false => Finding::note(Check::Journal, "the journal is kept in memory only")
            .why("after a restart of the machine, sipguard's log is gone; its history is not")
            .remedy("mkdir /var/log/journal && systemctl restart systemd-journald"),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{Level, machine::tree},
        *,
    };

    #[test]
    fn a_directory_is_made_where_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let finding = directory(&folder.path().join("not/there/yet"));
        assert!(finding.found.contains("can be written"), "{finding:?}");
        assert!(!folder.path().join("not").exists());
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        // Not a folder, but one is above it.
        assert!(directory(&file).found.contains("can be written"));
        assert_eq!(
            directory(Path::new("/proc/self/fd")).level,
            match nix::unistd::geteuid().is_root() {
                true => Level::Warning,
                false => Level::Note,
            }
        );
    }

    #[test]
    fn a_journal_in_memory_is_worth_a_note() {
        let (_folder, none) = tree(&[]);
        assert_eq!(journal(&none), None);
        let (_folder, lost) = tree(&[("run/systemd/system/x", "")]);
        assert_eq!(journal(&lost).map(|finding| finding.level), Some(Level::Note));
        let (_folder, kept) = tree(&[("run/systemd/system/x", ""), ("var/log/journal/x", "")]);
        assert_eq!(journal(&kept).map(|finding| finding.level), Some(Level::Ok));
    }
}
