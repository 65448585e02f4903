//! sipguard in user space. The rooms are described in `docs/design.md`.

pub mod alerts;
pub mod api;
pub mod capture;
pub mod cli;
pub mod crowdsec;
pub mod daemon;
pub mod doctor;
pub mod endpoint;
pub mod explain;
pub mod feeds;
pub mod hep;
pub mod history;
pub mod import;
pub mod kernel;
pub mod metrics;
pub mod offender;
pub mod policy;
pub mod replay;
pub mod rights;
pub mod sanitise;
pub mod ttl;
