//! What the end-to-end tests and the demo stand on: network namespaces, a real
//! SIP server, real scanners and phones, and sipguard between them.
//!
//! ```text
//!  outside namespace                        server's namespace
//!  phones, trunks, scanners                 SIP server
//!  198.51.100.0/24, 192.0.2.10  far0 ─ wan0 203.0.113.1   ◀ sipguard
//!                               far1 ─ wan1 203.0.113.129 (where asked for)
//! ```
//!
//! The namespaces have no names: they live as long as this process and its
//! children, which the kernel kills when this process ends, however it ends.
//! So nothing is left behind and the machine's own network is never touched.

pub mod answerer;
pub mod bpffs;
pub mod browser;
pub mod capture;
pub mod carrier;
pub mod collector;
pub mod confined;
pub mod crowdsec;
pub mod egress;
pub mod footprint;
pub mod foreign;
pub mod forger;
pub mod gzip;
pub mod kamailio;
pub mod lab;
pub mod mount;
pub mod namespace;
pub mod phone;
pub mod pinch;
pub mod policy;
pub mod process;
pub mod prometheus;
pub mod rebuilt;
pub mod registrar;
pub mod scanner;
pub mod screen;
pub mod server;
pub mod sipguard;
pub mod softphone;
pub mod streams;
pub mod subscriber;
pub mod talker;
pub mod tcp;
pub mod terminal;
pub mod tool;
pub mod traffic;
pub mod tshark;
pub mod wait;
pub mod web;
