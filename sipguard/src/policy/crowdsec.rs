//! The section `[crowdsec]`: a CrowdSec engine, whose decisions are enforced, and
//! which hears of bans.

use std::path::PathBuf;

use ipnet::IpNet;

use super::{feeds::PrefixLimits, plan::MAX_BLOCKED};
use crate::ttl::Ttl;

/// How sipguard talks to a local API of CrowdSec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrowdsecSettings {
    /// Where it is, without a `/` at the end; `None` talks to nobody.
    pub url: Option<String>,
    /// The file with the key of a bouncer; without one, decisions are not read.
    pub key_file: Option<PathBuf>,
    /// How often they are read.
    pub interval: Ttl,
    /// More than so many are left out.
    pub max_decisions: usize,
    /// Wider networks are left out.
    pub prefixes: PrefixLimits,
    /// Whether the engine is told how much is done with its decisions.
    pub usage: bool,
    /// The file with the name and password of a machine; without one, bans are
    /// not reported.
    pub login_file: Option<PathBuf>,
    /// Whether sources whose packets match signatures are reported, too.
    pub signatures: bool,
}

impl Default for CrowdsecSettings {
    /// The reasons for these numbers stand in config/sipguard.toml.
    fn default() -> Self {
        Self {
            url: None,
            key_file: None,
            interval: Ttl::TEN_SECONDS,
            max_decisions: MAX_BLOCKED,
            prefixes: PrefixLimits::DEFAULT,
            usage: true,
            login_file: None,
            signatures: true,
        }
    }
}

impl CrowdsecSettings {
    /// Where decisions are read, and the file with the key for it.
    #[must_use]
    pub fn bouncer(&self) -> Option<(&str, &std::path::Path)> {
        Some((self.url.as_deref()?, self.key_file.as_deref()?))
    }

    /// Where bans are reported, and the file with the login for it.
    #[must_use]
    pub fn machine(&self) -> Option<(&str, &std::path::Path)> {
        Some((self.url.as_deref()?, self.login_file.as_deref()?))
    }

    /// Whether a network is narrow enough to be blocked.
    #[must_use]
    pub fn takes(&self, net: IpNet) -> bool {
        self.prefixes.take(net)
    }

    /// Every setting with its key.
    pub(super) fn listed(&self) -> [(&'static str, String); 9] {
        let Self { url, key_file, interval, max_decisions, prefixes, .. } = self;
        let path = |path: &Option<PathBuf>| {
            path.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string())
        };
        [
            ("url", format!("\"{}\"", url.as_deref().unwrap_or_default())),
            ("key_file", path(key_file)),
            ("interval", interval.to_string()),
            ("max_decisions", max_decisions.to_string()),
            ("min_prefix_v4", prefixes.v4.to_string()),
            ("min_prefix_v6", prefixes.v6.to_string()),
            ("usage", self.usage.to_string()),
            ("login_file", path(&self.login_file)),
            ("signatures", self.signatures.to_string()),
        ]
    }
}
