//! XDP programs of the benchmarks: the generator, and the yardsticks that
//! sipguard is compared with. `tests::bench` loads them.
//!
//! On any other target than BPF this compiles to nothing that runs.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

mod generator;
mod yardsticks;

/// What the kernel asks of programs that call its GPL-only helpers.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
