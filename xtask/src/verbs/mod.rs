//! One file per verb.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod ci;
pub(crate) mod demo;
pub(crate) mod deny;
pub(crate) mod dist;
pub(crate) mod fuzz;
pub(crate) mod kernels;
pub(crate) mod miri;
pub(crate) mod run;
pub(crate) mod setup;
pub(crate) mod soak;
pub(crate) mod test;
