//! The section `[alerts]`: what operators are told of, and by which way.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use crate::ttl::Ttl;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertSeverity {
    Info,
    Warning,
    Critical,
}

impl AlertSeverity {
    /// All of them, the mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What a rule compares its value with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    pub default: u64,
    pub least: u64,
    pub most: u64,
    /// What it counts.
    pub unit: &'static str,
}

/// The time that a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// None: what holds is told at once.
    Now,
    /// So long without a break; the key is `for`.
    For(Ttl),
    /// Together within so long; the key is `window`.
    Window(Ttl),
}

impl Span {
    /// Its key in sipguard.toml.
    #[must_use]
    pub const fn key(self) -> Option<&'static str> {
        match self {
            Self::Now => None,
            Self::For(_) => Some("for"),
            Self::Window(_) => Some("window"),
        }
    }

    /// The default.
    #[must_use]
    pub const fn default(self) -> Option<Ttl> {
        match self {
            Self::Now => None,
            Self::For(ttl) | Self::Window(ttl) => Some(ttl),
        }
    }
}

macro_rules! alert_rules {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $severity:ident, $threshold:expr, $span:expr;)+) => {
        /// A reason to tell operators.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum AlertRule {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl AlertRule {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its table under `[alerts]`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One line of explanation.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// How bad it is, unless the file says otherwise.
            #[must_use]
            pub const fn severity(self) -> AlertSeverity {
                match self { $(Self::$variant => AlertSeverity::$severity,)+ }
            }

            /// What its value is compared with; `None` where there is nothing to
            /// choose.
            #[must_use]
            pub const fn threshold(self) -> Option<Threshold> {
                match self { $(Self::$variant => $threshold,)+ }
            }

            /// The time that it looks at.
            #[must_use]
            pub const fn span(self) -> Span {
                match self { $(Self::$variant => $span,)+ }
            }
        }
    };
}

const fn seconds(seconds: u64) -> Ttl {
    match Ttl::from_seconds(seconds) {
        Some(ttl) => ttl,
        None => Ttl::MINUTE,
    }
}

const fn counts(default: u64, least: u64, most: u64, unit: &'static str) -> Option<Threshold> {
    Some(Threshold { default, least, most, unit })
}

alert_rules! {
    /// One source sends many OPTIONS; neither a trusted nor a verified one.
    OptionsFromSource = "options_from_source", Info,
        counts(50, 1, 1_000_000, "OPTIONS within `window`"), Span::Window(Ttl::MINUTE);
    /// One source sends many packets; not a trusted one.
    PacketsFromSource = "packets_from_source", Warning,
        counts(100, 1, 10_000_000, "packets a second"), Span::For(seconds(3));
    /// Many packets are dropped.
    Drops = "drops", Warning,
        counts(1000, 1, 1_000_000_000, "packets a second"), Span::For(seconds(10));
    /// Many more endpoints are verified than at this hour of the last days.
    VerifiedRise = "verified_rise", Warning,
        counts(10, 2, 1000, "times as many"), Span::For(seconds(10));
    /// Many fewer endpoints are verified than at this hour of the last days.
    VerifiedFall = "verified_fall", Critical,
        counts(50, 5, 100, "percent fewer"), Span::For(seconds(10));
    /// A list or a learned map is nearly full.
    MapFull = "map_full", Warning,
        counts(80, 10, 100, "percent of its capacity"), Span::Now;
    /// There was SIP traffic, and there is none any more.
    Silence = "silence", Critical, None, Span::For(seconds(1800));
    /// A feed has not been fetched for longer than it may be old.
    FeedStale = "feed_stale", Warning, None, Span::Now;
    /// CrowdSec does not answer, or refuses.
    CrowdsecDown = "crowdsec_down", Warning, None, Span::For(Ttl::FIVE_MINUTES);
    /// A rule in mode observe would drop packets of a verified or trusted source.
    ObserveWouldHurt = "observe_would_hurt", Warning,
        counts(1, 1, 1_000_000, "such packets that were told of within `window`"),
        Span::Window(Ttl::TEN_MINUTES);
    /// A customer is banned for wrong passwords again and again.
    RepeatedBan = "repeated_ban", Warning,
        counts(3, 1, 1000, "bans, each within a day of the one before"),
        Span::Window(seconds(2 * 86_400));
    /// Events were lost because the daemon was too slow.
    EventsLost = "events_lost", Info,
        counts(1, 1, 1_000_000_000, "events within `window`"), Span::Window(Ttl::MINUTE);
    /// An interface is protected in generic mode because its driver cannot do better.
    GenericMode = "generic_mode", Info, None, Span::Now;
    /// Nothing is filtered at an interface that is to be protected.
    Unprotected = "unprotected", Critical, None, Span::Now;
    /// The last reload has failed: an earlier policy holds.
    ReloadFailed = "reload_failed", Warning, None, Span::Now;
}

impl AlertRule {
    /// The rule of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

/// What holds for one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRuleSettings {
    pub enabled: bool,
    /// 0 where the rule has none.
    pub threshold: u64,
    /// Zero where the rule has none.
    pub span: Duration,
    pub severity: AlertSeverity,
    /// Names of actions; `None` for all of them.
    pub actions: Option<Vec<String>>,
}

impl AlertRuleSettings {
    /// As without a word in the file.
    #[must_use]
    pub fn of(rule: AlertRule) -> Self {
        Self {
            enabled: true,
            threshold: rule.threshold().map_or(0, |threshold| threshold.default),
            span: rule.span().default().map_or(Duration::ZERO, Ttl::duration),
            severity: rule.severity(),
            actions: None,
        }
    }
}

/// What is done with an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    pub name: String,
    /// Milder ones are not its business.
    pub severity: AlertSeverity,
    pub kind: ActionKind,
}

/// By which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// A line in the log.
    Log,
    /// A program, without a shell.
    Exec {
        /// The absolute path, and arguments.
        command: Vec<String>,
        timeout: Duration,
    },
    /// JSON by HTTP.
    Webhook {
        url: String,
        /// Whose content goes along as a bearer token.
        token_file: Option<PathBuf>,
        /// For each try.
        timeout: Duration,
        /// Tries after the first one.
        retries: u32,
    },
}

impl ActionKind {
    /// As it is written.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Exec { .. } => "exec",
            Self::Webhook { .. } => "webhook",
        }
    }
}

impl fmt::Display for Action {
    /// Without the path of a URL, which often is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, severity, kind } = self;
        write!(f, "{name} ({} from {} on", kind.name(), severity.name())?;
        match kind {
            ActionKind::Log => {}
            ActionKind::Exec { command, timeout } => {
                write!(f, ": {} within {} s", command.join(" "), timeout.as_secs())?;
            }
            ActionKind::Webhook { url, timeout, retries, .. } => {
                let (host, mark) = (host(url), fingerprint(self));
                let seconds = timeout.as_secs();
                write!(f, ": {host} #{mark:08x} within {seconds} s, {retries} retries")?;
            }
        }
        f.write_str(")")
    }
}

/// Scheme and host.
fn host(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(start..).and_then(|rest| rest.find(['/', '?', '#']));
    end.and_then(|end| url.get(..start + end)).unwrap_or(url)
}

/// By which two actions are told apart that are shown alike.
fn fingerprint(action: &Action) -> u32 {
    format!("{:?}", action.kind)
        .bytes()
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// All of `[alerts]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettings {
    pub enabled: bool,
    /// How long something must be calm before the all-clear.
    pub clear: Duration,
    /// After how long an open alert is told again.
    pub remind: Option<Duration>,
    /// Every rule.
    pub rules: BTreeMap<AlertRule, AlertRuleSettings>,
    /// There is one for the log, always.
    pub actions: Vec<Action>,
}

impl Default for AlertSettings {
    /// The reasons for these numbers stand in config/sipguard.toml.
    fn default() -> Self {
        let rules = AlertRule::ALL.iter().map(|rule| (*rule, AlertRuleSettings::of(*rule)));
        Self {
            enabled: true,
            clear: Duration::from_secs(60),
            remind: None,
            rules: rules.collect(),
            actions: vec![log_action()],
        }
    }
}

/// The one that is there by itself.
pub(super) fn log_action() -> Action {
    Action { name: "log".to_owned(), severity: AlertSeverity::Info, kind: ActionKind::Log }
}

impl AlertSettings {
    /// What holds for a rule.
    #[must_use]
    pub fn rule(&self, rule: AlertRule) -> AlertRuleSettings {
        let mut settings =
            self.rules.get(&rule).cloned().unwrap_or_else(|| AlertRuleSettings::of(rule));
        settings.enabled &= self.enabled;
        settings
    }

    /// The actions that an alert of this rule and severity goes to.
    pub fn actions_of(
        &self,
        rule: AlertRule,
        severity: AlertSeverity,
    ) -> impl Iterator<Item = &Action> {
        let wanted = self.rules.get(&rule).and_then(|rule| rule.actions.as_ref());
        self.actions.iter().filter(move |action| {
            action.severity <= severity && wanted.is_none_or(|wanted| wanted.contains(&action.name))
        })
    }

    /// Every single setting with its key.
    pub(super) fn listed(&self) -> Vec<(String, String)> {
        let seconds = |time: Duration| {
            Ttl::from_seconds(time.as_secs())
                .map_or_else(|| "off".to_owned(), |ttl| ttl.to_string())
        };
        let mut listed = vec![
            ("alerts.enabled".to_owned(), self.enabled.to_string()),
            ("alerts.clear".to_owned(), seconds(self.clear)),
            ("alerts.remind".to_owned(), seconds(self.remind.unwrap_or_default())),
        ];
        for (rule, settings) in &self.rules {
            let AlertRuleSettings { enabled, threshold, span, severity, actions } = settings;
            let mut add = |key: &str, value: String| {
                listed.push((format!("alerts.{}.{key}", rule.name()), value));
            };
            add("enabled", enabled.to_string());
            if rule.threshold().is_some() {
                add("threshold", threshold.to_string());
            }
            if let Some(key) = rule.span().key() {
                add(key, seconds(*span));
            }
            add("severity", severity.name().to_owned());
            add("actions", actions.as_ref().map_or("all".to_owned(), |names| names.join(" ")));
        }
        let actions: Vec<String> = self.actions.iter().map(ToString::to_string).collect();
        listed.push(("alerts.action".to_owned(), format!("[{}]", actions.join(", "))));
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_lie_within_their_bounds() {
        for rule in AlertRule::ALL {
            if let Some(Threshold { default, least, most, .. }) = rule.threshold() {
                assert!((least..=most).contains(&default), "{}", rule.name());
            }
            assert_eq!(AlertRule::from_name(rule.name()), Some(*rule));
        }
    }

    #[test]
    fn a_secret_of_a_url_is_not_shown_but_its_change_is() {
        let hook = |url: &str| Action {
            name: "hook".to_owned(),
            severity: AlertSeverity::Warning,
            kind: ActionKind::Webhook {
                url: url.to_owned(),
                token_file: None,
                timeout: Duration::from_secs(5),
                retries: 3,
            },
        };
        let shown = hook("https://hooks.example.net/services/SECRET").to_string();
        assert!(shown.contains("https://hooks.example.net #"), "{shown}");
        assert!(!shown.contains("SECRET"), "{shown}");
        assert_ne!(shown, hook("https://hooks.example.net/services/OTHER").to_string());
    }

    #[test]
    fn actions_take_what_is_bad_enough_and_meant_for_them() {
        let mut settings = AlertSettings::default();
        let action =
            |name: &str, severity| Action { severity, name: name.to_owned(), ..log_action() };
        settings.actions =
            vec![action("all", AlertSeverity::Info), action("bad", AlertSeverity::Critical)];
        let names = |settings: &AlertSettings, severity| -> Vec<String> {
            let actions = settings.actions_of(AlertRule::Drops, severity);
            actions.map(|action| action.name.clone()).collect()
        };
        assert_eq!(names(&settings, AlertSeverity::Warning), ["all"]);
        assert_eq!(names(&settings, AlertSeverity::Critical), ["all", "bad"]);
        settings.rules.get_mut(&AlertRule::Drops).unwrap().actions = Some(vec!["bad".to_owned()]);
        assert!(names(&settings, AlertSeverity::Warning).is_empty());
        assert_eq!(names(&settings, AlertSeverity::Critical), ["bad"]);
    }
}
