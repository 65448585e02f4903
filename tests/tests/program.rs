//! The kernel program as a whole.

use sipguard::kernel::{Kernel, LogLevel, instruction_budget};
use tests::kernel::{load_or_skip, or_skip};

/// R15: the verifier's instruction count is a tracked number with a budget.
#[test]
fn the_program_stays_within_its_budget_of_instructions() {
    let Some(kernel) = or_skip(Kernel::load()) else { return };
    let verified = kernel.program_info().expect("the sizes").verified_instructions;
    assert!((1..=instruction_budget()).contains(&verified), "{verified} instructions");
    let Some(mut kernel) = load_or_skip() else { return };
    let verified = kernel.kernel().program_info().expect("the sizes").verified_instructions;
    assert!((1..=instruction_budget()).contains(&verified), "{verified} instructions under test");
}

/// The lines of the program's own log are loaded only where they are asked for,
/// and the verifier takes them, too.
#[test]
fn the_programs_own_log_is_off_unless_asked_for() {
    let Some((quiet, none)) = or_skip(Kernel::load_with_log(LogLevel::Off)) else { return };
    let Some((talking, log)) = or_skip(Kernel::load_with_log(LogLevel::Debug)) else { return };
    assert!(none.is_none() && log.is_some());
    let verified = |kernel: &Kernel| kernel.program_info().expect("sizes").verified_instructions;
    assert!(verified(&quiet) < verified(&talking), "{} {}", verified(&quiet), verified(&talking));
}
