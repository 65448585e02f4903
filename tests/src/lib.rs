//! Corpus of packets and helpers of the tests.
pub mod twin;
