//! The benchmarks: what a packet costs with sipguard, with what it competes
//! with, and with nothing, on a wire between two network namespaces.
//!
//! ```text
//!  CPU 0                              CPU 1
//!  generator ── far0 ─── veth ─── wan0: NAPI as a thread ─▶ filter ─▶ reader
//! ```
//!
//! The generator is an XDP program under `BPF_PROG_TEST_RUN` with live frames:
//! sockets would cost the receiver more than what is measured. The cost of a
//! packet is the run time of the NAPI thread over the packets that it has
//! received, at saturation. Absolute numbers differ from machine to machine;
//! filters therefore take turns, and what counts is the median of the ratios of
//! each round.

pub mod alone;
pub mod calls;
pub mod capacity;
pub mod daemon;
pub mod delivery;
pub mod filter;
pub mod generator;
pub mod growth;
pub mod machine;
pub mod numbers;
pub mod plan;
pub mod policy;
pub mod programs;
pub mod reader;
pub mod report;
pub mod run;
pub mod stand;
pub mod traffic;
