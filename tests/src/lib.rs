//! Corpus of packets and helpers of the tests.
