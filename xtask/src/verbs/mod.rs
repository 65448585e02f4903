//! One file per verb.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod ci;
pub(crate) mod demo;
pub(crate) mod dist;
pub(crate) mod kernels;
pub(crate) mod run;
pub(crate) mod setup;
pub(crate) mod test;
