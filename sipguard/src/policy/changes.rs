//! What a reload changes, in words and as data.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;
use sipguard_common::method::{Budget, Class};

use super::{
    limits::{PortLimit, SubnetLimit, verified_classes},
    modes::dropping,
    plan::Plan,
};

/// How one list differs from an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListChange {
    pub added: usize,
    pub removed: usize,
    /// Entries that stay, with another name, reason or expiry.
    pub changed: usize,
}

impl ListChange {
    fn between<K: Ord, V: PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> Self {
        let mut change = Self::default();
        // Side by side, for a lookup per entry is slow with a million of them.
        let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return change,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((before, _)), Some((after, _))) => before.cmp(after),
            };
            match order {
                Ordering::Less => {
                    old.next();
                    change.removed += 1;
                }
                Ordering::Greater => {
                    new.next();
                    change.added += 1;
                }
                Ordering::Equal => {
                    if old.next().map(|(_, value)| value) != new.next().map(|(_, value)| value) {
                        change.changed += 1;
                    }
                }
            }
        }
    }

    fn of_sets<K: Ord>(old: &BTreeSet<K>, new: &BTreeSet<K>) -> Self {
        Self {
            added: new.difference(old).count(),
            removed: old.difference(new).count(),
            changed: 0,
        }
    }

    fn words(self, name: &str, words: &mut Vec<String>) {
        for (sign, count) in [("+", self.added), ("-", self.removed), ("~", self.changed)] {
            if count > 0 {
                words.push(format!("{sign}{count} {name}"));
            }
        }
    }
}

/// How the signatures differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SignatureChange {
    /// Enabled before.
    pub old: usize,
    /// Enabled now.
    pub new: usize,
    /// Anything differs, be it the order.
    pub changed: bool,
}

/// A setting of sipguard.toml that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// With its section, such as `policy.posture`.
    pub key: String,
    pub old: String,
    pub new: String,
}

/// Everything by which a plan differs from an earlier one.
///
/// Shown as `+2 trusted, -1 blocked, signatures 31 -> 35, limits changed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub trusted: ListChange,
    pub blocked: ListChange,
    /// Protected destinations (`sip.addresses`).
    pub protected: ListChange,
    pub signatures: SignatureChange,
    /// Feeds by their settings, not by what they hold.
    pub feeds: ListChange,
    pub settings: Vec<Setting>,
}

impl Changes {
    /// Whether the plans are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { trusted, blocked, protected, signatures, feeds, settings } = self;
        [trusted, blocked, protected, feeds].into_iter().all(|list| *list == ListChange::default())
            && !signatures.changed
            && settings.is_empty()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        self.trusted.words("trusted", &mut words);
        self.blocked.words("blocked", &mut words);
        self.protected.words("protected", &mut words);
        if self.signatures.changed {
            let SignatureChange { old, new, .. } = self.signatures;
            words.push(if old == new {
                format!("signatures changed ({new})")
            } else {
                format!("signatures {old} -> {new}")
            });
        }
        self.feeds.words("feeds", &mut words);
        let (limits, others): (Vec<_>, Vec<_>) =
            self.settings.iter().partition(|setting| setting.key.starts_with("limits."));
        words.extend(others.into_iter().map(ToString::to_string));
        match limits[..] {
            [] => {}
            [setting] => words.push(setting.to_string()),
            _ => words.push("limits changed".to_owned()),
        }
        if words.is_empty() {
            return f.pad("nothing changed");
        }
        f.pad(&words.join(", "))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, old, new } = self;
        write!(f, "{key} {old} -> {new}")
    }
}

impl Plan {
    /// What differs from `old`, an earlier plan.
    #[must_use]
    pub fn changes(&self, old: &Self) -> Changes {
        Changes {
            trusted: ListChange::between(&old.trusted, &self.trusted),
            blocked: ListChange::between(&old.blocked, &self.blocked),
            protected: ListChange::of_sets(&old.protected, &self.protected),
            signatures: SignatureChange {
                old: old.signatures.len(),
                new: self.signatures.len(),
                changed: old.signatures != self.signatures,
            },
            feeds: ListChange::between(&old.feeds, &self.feeds),
            settings: self.other_settings(old),
        }
    }

    fn other_settings(&self, old: &Self) -> Vec<Setting> {
        let mut changed: Vec<Setting> = old
            .settings()
            .into_iter()
            .zip(self.settings())
            .filter(|((_, old), (_, new))| old != new)
            .map(|((key, old), (_, new))| Setting { key, old, new })
            .collect();
        // Of passwords only the names are compared above.
        if let (Some(before), Some(after)) = (&old.mirror.password, &self.mirror.password)
            && before != after
        {
            let [key, old, new] = ["mirror.password", "set", "another"].map(str::to_owned);
            changed.push(Setting { key, old, new });
        }
        changed
    }

    /// Every single setting with its key, always in the same order.
    fn settings(&self) -> Vec<(String, String)> {
        // Taken apart so that a new field cannot be forgotten here.
        let Self {
            interfaces,
            mode,
            socket,
            state,
            ports,
            tls_ports,
            keepalives,
            fail_mode,
            posture,
            options,
            fragments,
            stealth,
            auth,
            modes,
            limits,
            events,
            web,
            mirror,
            alerts,
            crowdsec,
            trusted: _,
            blocked: _,
            feeds: _,
            fed: _,
            protected: _,
            signatures: _,
            policy: _,
        } = self;
        let keepalives: Vec<String> =
            keepalives.iter().map(|bytes| format!("\"{}\"", bytes.escape_ascii())).collect();
        let mut settings: Vec<(String, String)> = [
            ("interfaces.names", format!("[{}]", interfaces.join(", "))),
            ("interfaces.mode", mode.name().to_owned()),
            ("sip.ports", format!("[{ports}]")),
            ("sip.tls_ports", format!("[{tls_ports}]")),
            ("sip.keepalives", format!("[{}]", keepalives.join(", "))),
            ("policy.posture", posture.name().to_owned()),
            ("policy.fail_mode", fail_mode.name().to_owned()),
            ("policy.options", options.name().to_owned()),
            ("policy.fragments", fragments.name().to_owned()),
            ("policy.mode", modes.all.name().to_owned()),
            ("policy.stealth", stealth.name().to_owned()),
            ("auth.profile", auth.profile.name().to_owned()),
            ("auth.failures", auth.failures.to_string()),
            ("auth.window", auth.window.to_string()),
            ("auth.ban", auth.ban.to_string()),
            ("auth.ban_max", auth.ban_max.to_string()),
            ("auth.harvest", auth.harvest.to_string()),
            ("events.rule", events.rule.to_string()),
            ("events.source", events.source.to_string()),
            ("events.log", events.log.to_string()),
            ("control.socket", socket.display().to_string()),
            ("state.directory", state.display().to_string()),
            ("web.listen", web.shown()),
            ("web.names", format!("[{}]", web.names.join(", "))),
            ("limits.source_prefix_v6", limits.source_prefix_v6.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        for class in Class::ALL {
            let key = format!("limits.stranger.{}", class.name());
            settings.push((key, limits.stranger(class).to_string()));
        }
        for class in verified_classes() {
            let key = format!("limits.verified.{}", class.name());
            settings.push((key, limits.verified[class as usize].to_string()));
        }
        for budget in Budget::ALL {
            let key = format!("limits.strangers.{}", budget.name());
            settings.push((key, limits.strangers[budget as usize].to_string()));
        }
        settings.push(("limits.strangers.reserve".to_owned(), limits.reserve.to_string()));
        let SubnetLimit { prefix_v4, prefix_v6, total } = limits.subnet;
        let PortLimit { max, window } = limits.ports;
        let or_unlimited =
            |max: Option<u32>| max.map_or_else(|| "unlimited".to_owned(), |max| max.to_string());
        for (key, value) in [
            ("subnet.prefix_v4", prefix_v4.to_string()),
            ("subnet.prefix_v6", prefix_v6.to_string()),
            ("subnet.total", total.to_string()),
            ("ports.max", or_unlimited(max.map(u32::from))),
            ("ports.window", window.to_string()),
        ] {
            settings.push((format!("limits.{key}"), value));
        }
        for (key, max) in limits.message.named() {
            settings.push((format!("limits.message.{key}"), or_unlimited(max)));
        }
        for rule in dropping() {
            let mode = modes.rules.get(&rule).copied().unwrap_or_default();
            settings.push((format!("rules.{}.mode", rule.name()), mode.name().to_owned()));
        }
        let collector = mirror.collector.as_ref().map_or_else(String::new, ToString::to_string);
        for (key, value) in [
            ("collector", format!("\"{collector}\"")),
            ("id", mirror.id.to_string()),
            ("sample", mirror.sample.to_string()),
            ("rules", mirror.rule_names()),
            ("password", mirror.password_name().to_owned()),
        ] {
            settings.push((format!("mirror.{key}"), value));
        }
        settings.extend(alerts.listed());
        settings.extend(crowdsec.listed().map(|(key, value)| (format!("crowdsec.{key}"), value)));
        settings
    }
}

#[cfg(test)]
mod tests {
    use sipguard_common::automaton::Field;

    use super::*;
    use crate::policy::{
        Condition, Match, Signature,
        choices::Posture,
        plan::{Block, Peer},
        rate::RateLimit,
    };

    fn signature(name: &str) -> Signature {
        let text = name.to_owned();
        let condition = Condition { field: Field::UserAgent, kind: Match::Prefix, text };
        Signature { name: name.to_owned(), conditions: vec![condition] }
    }

    fn peer(name: &str) -> Peer {
        Peer { name: name.to_owned(), class: None }
    }

    #[test]
    fn nothing_changed() {
        let changes = Plan::default().changes(&Plan::default());
        assert!(changes.is_empty());
        assert_eq!(changes.to_string(), "nothing changed");
    }

    #[test]
    fn lists_signatures_and_limits_in_one_line() {
        let (mut old, mut new) = (Plan::default(), Plan::default());
        let target = |text: &str| text.parse().unwrap();
        old.trusted.insert(target("192.0.2.1"), peer("a"));
        new.trusted.insert(target("192.0.2.1"), peer("renamed"));
        new.trusted.insert(target("192.0.2.2"), peer("b"));
        new.trusted.insert(target("192.0.2.0/24"), peer("c"));
        old.blocked.insert("198.51.100.0/24".parse().unwrap(), Block::default());
        old.signatures = vec![signature("one")];
        new.signatures = vec![signature("one"), signature("two")];
        new.limits.stranger[1] = RateLimit::Unlimited;
        new.limits.stranger[2] = RateLimit::Unlimited;
        let changes = new.changes(&old);
        assert_eq!(
            changes.to_string(),
            "+2 trusted, ~1 trusted, -1 blocked, signatures 1 -> 2, limits changed"
        );
        assert_eq!(old.changes(&new).trusted, ListChange { added: 0, removed: 2, changed: 1 });
        let json = serde_json::to_value(&changes).unwrap();
        assert_eq!(json["blocked"]["removed"], 1);
        assert_eq!(json["settings"][0]["key"], "limits.stranger.register");
    }

    #[test]
    fn single_settings_show_by_key() {
        let mut new = Plan { posture: Posture::Closed, ..Plan::default() };
        new.limits.source_prefix_v6 = 48;
        new.keepalives = vec![b"\xffHELLO".to_vec()];
        assert_eq!(
            new.changes(&Plan::default()).to_string(),
            "sip.keepalives [] -> [\"\\xffHELLO\"], policy.posture guarded -> closed, \
             limits.source_prefix_v6 64 -> 48"
        );
    }

    #[test]
    fn other_signatures_of_the_same_number_are_a_change() {
        let old = Plan { signatures: vec![signature("one")], ..Plan::default() };
        let new = Plan { signatures: vec![signature("two")], ..Plan::default() };
        assert_eq!(new.changes(&old).to_string(), "signatures changed (1)");
    }
}
