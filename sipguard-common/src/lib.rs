//! What the kernel program and user space share: the layout of the maps, the
//! table of rules, and the decision code.
//!
//! Nothing here touches the kernel. The same functions run inside the XDP
//! program and, on the host, inside ordinary tests: see `docs/design.md`.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod abi;
pub mod admission;
pub mod automaton;
pub mod bucket;
pub mod decide;
pub mod frame;
pub mod known;
pub mod learn;
pub mod message;
pub mod method;
pub mod networks;
pub mod rule;
pub mod scan;

/// Hides a value's origin from LLVM.
///
/// LLVM likes to replace a masked or compared value by the one it was made
/// from, and the verifier then no longer sees the bound. On the host this is
/// the identity. The template must not be empty: two line infos at one offset
/// make the kernel refuse the BTF ("Invalid line_info").
#[inline(always)]
#[must_use]
pub fn opaque(value: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value;
        // SAFETY: a register move onto itself.
        unsafe {
            core::arch::asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        value
    }
    #[cfg(not(target_arch = "bpf"))]
    value
}
