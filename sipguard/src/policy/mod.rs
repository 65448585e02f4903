//! The desired policy: four TOML files, validated and turned into a [`Plan`].
//!
//! Nothing here knows the kernel. A plan is what the maps shall hold; another
//! room brings it there.

mod alerts;
mod auth;
mod automaton;
mod blocks;
mod changes;
mod choices;
mod cps;
mod crowdsec;
mod diagnostic;
mod document;
mod events;
mod feeds;
mod limits;
mod lint;
mod load;
mod mirror;
mod modes;
mod peers;
mod places;
mod plan;
mod rate;
mod reader;
mod settings;
mod shared;
mod signature;
mod signatures;
mod source;
mod target;
mod web;

pub use alerts::{
    Action, ActionKind, AlertRule, AlertRuleSettings, AlertSettings, AlertSeverity, Span, Threshold,
};
pub use auth::{AuthProfile, AuthSettings};
pub use automaton::{Size, TooLarge, compile};
pub use changes::{Changes, ListChange, Setting, SignatureChange};
pub use choices::{FailMode, Fragments, Mode, OptionsRule, Posture, Stealth};
pub use cps::CpsClass;
pub use crowdsec::CrowdsecSettings;
pub use diagnostic::{Diagnostic, Diagnostics, Excerpt, Severity};
pub use events::EventSettings;
pub use feeds::{FeedFormat, FeedSettings, FeedSource, KEY_MARK, MAX_FEEDS, PrefixLimits};
pub use limits::{Limits, MessageLimits, PortLimit, SubnetLimit};
pub use load::{BLACKLIST, FILES, SETTINGS, SIGNATURES, TRUSTED, load, load_at, load_texts};
pub use mirror::{Collector, MirrorSettings, Password};
pub use modes::{Modes, RuleMode};
pub use places::{Place, Places};
pub use plan::{Block, MAX_BLOCKED, MAX_TRUSTED, Peer, Plan, Ports};
pub use rate::{MAX_BURST, Rate, RateError, RateLimit};
pub use settings::MAX_PROTECTED;
pub(crate) use settings::unsafe_program;
pub use shared::Shared;
pub use signature::{Condition, Match, Signature, field_name};
pub use signatures::{MAX_REGEX, MAX_TEXT};
pub use source::MAX_FILE_BYTES;
pub(crate) use target::net_text;
pub use target::{Target, TargetError, parse_net};
pub use web::WebSettings;
