//! What the verbs need from outside, and how it gets here.

pub(crate) mod apt;
pub(crate) mod cpio;
pub(crate) mod crowdsec;
pub(crate) mod installed;
pub(crate) mod kernels;
pub(crate) mod linker;
pub(crate) mod packages;
pub(crate) mod qemu;
pub(crate) mod sipvicious;
mod stamp;
pub(crate) mod suites;
pub(crate) mod sysroot;
pub(crate) mod toolchain;
