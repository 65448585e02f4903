//! Memory that reading a large configuration leaves behind.

/// Gives freed memory back to the system. The allocator keeps what lies between
/// pieces in use, in an arena for each thread: after some reloads of a million
/// networks that is more than what is in use.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer, and locks the arenas that it looks through.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
