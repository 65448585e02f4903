//! The desired policy: four TOML files, validated and turned into a [`Plan`].
//!
//! Nothing here knows the kernel. A plan is what the maps shall hold; another
//! room brings it there.

mod automaton;
mod blocks;
mod changes;
mod diagnostic;
mod document;
mod lint;
mod load;
mod peers;
mod plan;
mod rate;
mod reader;
mod settings;
mod signature;
mod signatures;
mod source;
mod target;

pub use automaton::{Size, TooLarge, compile};
pub use changes::{Changes, ListChange, Setting, SignatureChange};
pub use diagnostic::{Diagnostic, Diagnostics, Excerpt, Severity};
pub use load::{BLACKLIST, FILES, SETTINGS, SIGNATURES, TRUSTED, load};
pub use plan::{
    Block, Limits, MAX_BLOCKED, MAX_TRUSTED, Mode, OptionsRule, Peer, Plan, Ports, Posture,
};
pub use rate::{MAX_BURST, Rate, RateError, RateLimit};
pub use settings::MAX_PROTECTED;
pub use signature::{Condition, Match, Signature, field_name};
pub use signatures::{MAX_REGEX, MAX_TEXT};
pub use source::MAX_FILE_BYTES;
pub use target::{Target, TargetError, parse_net};
