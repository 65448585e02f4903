//! Corpus of packets and helpers of the tests.
pub mod rig;
pub mod twin;
