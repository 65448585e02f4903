//! One corpus of packets with the rule that each must be counted under, and
//! what makes and mutates them.
//!
//! The same cases serve host tests, `BPF_PROG_TEST_RUN` of the kernel program,
//! fuzz seeds, the kernels' matrix and benchmarks. Frames are raw bytes made
//! by hand: attacks are malformed, and no library may repair them.

pub mod corpus;
pub mod layout;
pub mod mutate;
pub mod packet;
pub mod sip;

mod checksum;
mod random;
