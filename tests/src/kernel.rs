//! The kernel program under test, or a skip where it cannot be loaded.

use std::env;

use sipguard::kernel::{KernelError, TestKernel};

/// The loaded program. Without the rights to load one, prints why the test is
/// skipped and gives `None`; any other error is a failure.
///
/// # Panics
/// Where the program cannot be loaded although we may.
#[must_use]
pub fn load_or_skip() -> Option<TestKernel> {
    or_skip(TestKernel::load())
}

/// As [`load_or_skip`], for any load.
///
/// # Panics
/// As there.
pub fn or_skip<T>(loaded: Result<T, KernelError>) -> Option<T> {
    match loaded {
        Ok(loaded) => Some(loaded),
        Err(error) if error.is_permission() => {
            eprintln!("SKIPPED: {error}");
            None
        }
        Err(error) => panic!("the kernel program does not load: {error}"),
    }
}

/// How many packets a test that takes any number should take: `usual`, or what
/// `SIPGUARD_TEST_PACKETS` says, where that is less. For machines that are
/// slow, as software emulation is.
#[must_use]
pub fn packets(usual: usize) -> usize {
    let most = env::var("SIPGUARD_TEST_PACKETS").ok().and_then(|text| text.parse().ok());
    most.map_or(usual, |most: usize| most.min(usual))
}
