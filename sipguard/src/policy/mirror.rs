//! The section `[mirror]`: packets that are sent to a collector.

use std::fmt;

use sipguard_common::rule::Rule;

use super::rate::Rate;

/// Which packets go to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorSettings {
    /// `None` sends nothing.
    pub collector: Option<Collector>,
    /// By which the collector tells its senders apart.
    pub id: u32,
    /// Packets at most: one a second at least.
    pub sample: Rate,
    /// Packets of these rules; with none, of every rule that drops.
    pub rules: Vec<Rule>,
    pub password: Option<Password>,
}

impl Default for MirrorSettings {
    /// The reasons for these numbers stand in config/sipguard.toml.
    fn default() -> Self {
        Self {
            collector: None,
            id: 1,
            sample: Rate::per_second(100),
            rules: Vec::new(),
            password: None,
        }
    }
}

impl MirrorSettings {
    /// [`Self::sample`] in packets a second.
    #[must_use]
    pub fn per_second(&self) -> u32 {
        u32::try_from(self.sample.packets() / self.sample.seconds()).unwrap_or(u32::MAX)
    }

    /// Whether there is one.
    pub(super) fn password_name(&self) -> &'static str {
        if self.password.is_some() { "set" } else { "none" }
    }

    /// Names of the rules.
    pub(super) fn rule_names(&self) -> String {
        let names: Vec<&str> = self.rules.iter().map(|rule| rule.name()).collect();
        format!("[{}]", names.join(", "))
    }
}

/// A name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Without the brackets of IPv6.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

/// What the collector asks of its senders. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, for the collector alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}
