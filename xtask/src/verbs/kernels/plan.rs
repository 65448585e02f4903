//! What a virtual machine has to do, and how each command should end.

use super::expectation::{Check, Expectation, Expected};
use crate::workspace::Workspace;

/// Where things lie in a virtual machine.
pub(super) const SIPGUARD: &str = "/usr/bin/sipguard";
pub(super) const TESTS: &str = "/tests";

/// What sipguard says of a kernel below the floor, after the kernel's version.
const TOO_OLD: &str =
    " is too old: it lacks bpf_loop (Linux 5.17); sipguard needs Linux 6.1 or newer";

/// Test executables that ask the loaded program what it thinks of packets.
const CORPUS: &[&str] = &["corpus", "lists", "limits", "differential", "seen"];
/// The test executable about the program as a whole.
const PROGRAM: &str = "program";
/// The test executable about attaching, and its tests that a check takes.
const ATTACH: &str = "attach";
const NATIVE: &[&str] = &[
    "native_on_a_veth_until_sigterm",
    "every_packet_is_counted_once",
    "jumbo_frames_do_not_keep_it_away",
];
const GENERIC: &[&str] =
    &["generic_where_asked_for", "generic_with_a_warning_where_the_driver_cannot"];

/// The test executable about what leaves.
const LEAVING: &str = "egress_run";
/// The one about how the program comes there, by clsact below Linux 6.6, else by
/// tcx, and those of its tests that take the way that the kernel has.
const ATTACH_EGRESS: &str = "attach_egress";
const EGRESS: &[&str] =
    &["what_leaves", "after_kill_9", "other_programs", "anothers_discipline", "it_does_not_start"];

/// The one about what stays there without a daemon, and those of its tests in which
/// the kernel has a part of its own.
const KEPT: &str = "kept";
const STAYS: &[&str] = &["outlives_a_kill", "detach_removes", "open_leaves", "are_cut_off"];

/// Variables that make tests shorter: software emulation takes its time.
const SHORTER: &[&str] = &["SIPGUARD_TEST_PACKETS=30000"];

/// The test executables that a virtual machine needs.
pub(super) fn executables() -> impl Iterator<Item = &'static str> {
    CORPUS.iter().copied().chain([PROGRAM, ATTACH, LEAVING, ATTACH_EGRESS, KEPT])
}

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) check: Check,
    pub(super) wanted: Wanted,
    /// Variables, program and arguments.
    pub(super) words: Vec<String>,
}

impl Step {
    /// The command without its variables.
    pub(super) fn command(&self) -> String {
        let words = self.words.iter().skip_while(|word| word.contains('='));
        words.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// How a command should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All tests of an executable pass, and there are some.
    Tests,
    Success,
    /// Exit code 1, and these words.
    Failure(&'static str),
}

/// What to do on a kernel.
pub(super) fn steps(workspace: &Workspace, expectation: &Expectation) -> Vec<Step> {
    expectation
        .checks()
        .flat_map(|check| match (expectation.of(check), check) {
            (Expected::Nothing, _) => Vec::new(),
            (Expected::Refused, _) => vec![refusal(workspace, check)],
            (Expected::Works, Check::Load) => {
                let words = [SIPGUARD, "program-info"].map(str::to_owned).to_vec();
                let info = Step { check, wanted: Wanted::Success, words };
                vec![info, tests(check, PROGRAM, &[])]
            }
            (Expected::Works, Check::Corpus) => {
                CORPUS.iter().map(|executable| tests(check, executable, &[])).collect()
            }
            (Expected::Works, Check::Native) => vec![tests(check, ATTACH, NATIVE)],
            (Expected::Works, Check::Generic) => vec![tests(check, ATTACH, GENERIC)],
            (Expected::Works, Check::Egress) => {
                vec![tests(check, LEAVING, &[]), tests(check, ATTACH_EGRESS, EGRESS)]
            }
            (Expected::Works, Check::Kept) => vec![tests(check, KEPT, STAYS)],
        })
        .collect()
}

fn refusal(workspace: &Workspace, check: Check) -> Step {
    let config = workspace.root().join("config").display().to_string();
    let words = [SIPGUARD, "--socket", "/run/sipguard.sock", "run", "--iface", "lo", "--config"];
    let words = words.into_iter().map(str::to_owned).chain([config]).collect();
    Step { check, wanted: Wanted::Failure(TOO_OLD), words }
}

fn tests(check: Check, executable: &str, filters: &[&str]) -> Step {
    let variables = SHORTER.iter().map(|variable| (*variable).to_owned());
    let program = [format!("SIPGUARD_BIN={SIPGUARD}"), format!("{TESTS}/{executable}")];
    let arguments = ["--show-output", "--test-threads=1"].iter().chain(filters);
    let words = variables.chain(program).chain(arguments.map(|word| (*word).to_owned())).collect();
    Step { check, wanted: Wanted::Tests, words }
}

#[cfg(test)]
mod tests {
    use super::{executables, steps};
    use crate::{verbs::kernels::expectation::ALL, workspace::Workspace};

    #[test]
    fn every_check_has_a_command_with_programs_that_are_there() {
        let workspace = Workspace::locate().expect("the work tree");
        for expectation in ALL {
            let steps = steps(&workspace, expectation);
            for check in expectation.checks() {
                assert!(steps.iter().any(|step| step.check == check), "{}", expectation.name);
            }
            for command in steps.iter().map(super::Step::command) {
                let program = command.split(' ').next().unwrap_or_default();
                let known = executables().any(|name| program == format!("/tests/{name}"));
                assert!(known || program == super::SIPGUARD, "{command}");
            }
        }
    }
}
