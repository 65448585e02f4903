//! The kernel program as a whole.

use sipguard::kernel::{INSTRUCTION_BUDGET, Kernel};
use tests::kernel::{load_or_skip, or_skip};

/// R15: the verifier's instruction count is a tracked number with a budget.
#[test]
fn the_program_stays_within_its_budget_of_instructions() {
    let Some(kernel) = or_skip(Kernel::load()) else { return };
    let verified = kernel.program_info().expect("the sizes").verified_instructions;
    assert!((1..=INSTRUCTION_BUDGET).contains(&verified), "{verified} instructions");
    let Some(mut kernel) = load_or_skip() else { return };
    let verified = kernel.kernel().program_info().expect("the sizes").verified_instructions;
    assert!((1..=INSTRUCTION_BUDGET).contains(&verified), "{verified} instructions under test");
}
