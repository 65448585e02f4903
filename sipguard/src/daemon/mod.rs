//! The running daemon: it owns the kernel's part, the policy in force and the
//! operator's entries, and answers the control socket.

mod alerts;
mod audit;
mod bans;
mod config_dir;
mod control;
mod crowdsec;
mod entries;
mod error;
mod events;
mod feeds;
mod filter;
mod host;
mod kept;
mod manager;
mod memory;
mod nets;
mod offline;
mod place;
mod privilege;
mod pulse;
mod reload;
mod report;
mod restore;
mod ring;
mod run;
mod safety;
mod shared;
mod socket;
mod stats;
mod taps;
mod token;
mod web;
mod why;
mod writes;

pub use alerts::{ALERTS_KEPT, Board};
pub use audit::By;
pub use config_dir::{NoConfiguration, config_dir};
pub use control::{Daemon, Deeds, Figures};
pub use entries::{Entries, Entry};
pub use error::{Error, undecided};
pub use events::{BEHIND, Journal, KEPT_PER_RULE, Recent, Told, Wanted};
pub use feeds::refresh as refresh_feeds;
pub use filter::{Filter, FilterError};
pub use host::Host;
pub use offline::{Depth, without_daemon};
pub use place::Place;
pub use pulse::{KEPT as PULSES_KEPT, Pulses};
pub use reload::reload;
pub use report::report;
pub use restore::Entered;
pub use run::{Options, RunError, run};
pub use safety::Refusal;
pub use shared::Shared;
pub use socket::{ControlSocket, DEFAULT_SOCKET, GROUP, SocketError};
pub use taps::{Capturing, Taps};
pub use token::{TOKEN_FILE, Token};
pub use web::WebState;
pub use why::{log, why};

#[cfg(test)]
pub(crate) use events::sample;

#[cfg(any(test, feature = "testing"))]
#[cfg_attr(not(test), expect(dead_code, reason = "tests of this crate look into it, too"))]
pub(crate) mod fake;
