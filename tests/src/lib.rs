//! One corpus of packets with the rule that each must be counted under, what
//! makes and mutates them, and what judges them: the host twin of the kernel
//! program, and the program itself.
//!
//! The same cases serve host tests, `BPF_PROG_TEST_RUN` of the kernel program,
//! fuzz seeds, the kernels' matrix and benchmarks. Frames are raw bytes made
//! by hand: attacks are malformed, and no library may repair them.

pub mod bench;
pub mod corpus;
pub mod crowd;
pub mod kernel;
pub mod layout;
pub mod legit;
pub mod marathon;
pub mod mutate;
pub mod packet;
pub mod plans;
pub mod random;
pub mod rig;
pub mod sip;
pub mod soak;
pub mod stage;
pub mod twin;

mod checksum;
