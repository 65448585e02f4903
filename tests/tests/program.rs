//! The kernel programs as wholes.

use sipguard::kernel::{Kernel, LogLevel, instruction_budget};
use tests::kernel::{load_or_skip, or_skip};

/// R15: the verifier's instruction count is a tracked number with a budget, for
/// each of the two.
#[test]
fn the_programs_stay_within_their_budgets_of_instructions() {
    let Some(kernel) = or_skip(Kernel::load()) else { return };
    let Some(mut test) = load_or_skip() else { return };
    let loads = [("", kernel.program_info()), (" under test", test.kernel().program_info())];
    for (load, infos) in loads {
        for (name, info) in infos.expect("the sizes").named() {
            let verified = info.verified_instructions;
            assert!((1..=instruction_budget()).contains(&verified), "{name}{load}: {verified}");
        }
    }
}

/// The lines of the program's own log are loaded only where they are asked for,
/// and the verifier takes them, too.
#[test]
fn the_programs_own_log_is_off_unless_asked_for() {
    let Some((quiet, none)) = or_skip(Kernel::load_with_log(LogLevel::Off)) else { return };
    let Some((talking, log)) = or_skip(Kernel::load_with_log(LogLevel::Debug)) else { return };
    assert!(none.is_none() && log.is_some());
    let verified =
        |kernel: &Kernel| kernel.program_info().expect("sizes").ingress.verified_instructions;
    assert!(verified(&quiet) < verified(&talking), "{} {}", verified(&quiet), verified(&talking));
}
