//! The desired policy: four TOML files, validated and turned into a [`Plan`].
//!
//! Nothing here knows the kernel. A plan is what the maps shall hold; another
//! room brings it there.

mod automaton;
mod changes;
mod plan;
mod rate;
mod signature;
mod target;

pub use automaton::{Size, TooLarge, compile};
pub use changes::{Changes, ListChange, Setting, SignatureChange};
pub use plan::{
    Block, Limits, MAX_BLOCKED, MAX_TRUSTED, Mode, OptionsRule, Peer, Plan, Ports, Posture,
};
pub use rate::{MAX_BURST, Rate, RateError, RateLimit};
pub use signature::{Match, Signature, field_name};
pub use target::{Target, TargetError, parse_net};
