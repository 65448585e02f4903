//! What sipguard.toml says about a rule, in words, and where.

use sipguard_common::{
    bucket::Limit,
    method::{Budget, Class},
    rule::Rule,
};

use super::{
    known::Known,
    step::{Effect, Step},
};
use crate::policy::{AuthSettings, OptionsRule, Place, Posture, RateLimit, RuleMode};

impl Known<'_> {
    /// What a rule does whose condition holds, and what says that it does not
    /// drop.
    pub(super) fn effect(&self, rule: Rule) -> (Effect, Option<Place>) {
        let modes = &self.plan.modes;
        let mode = modes.of(rule);
        let effect = match mode {
            RuleMode::Enforce => return (Effect::Drop, None),
            RuleMode::Observe => Effect::WouldDrop,
            RuleMode::Off => Effect::Off,
        };
        let place = match modes.all == mode {
            true => self.places.key("policy.mode"),
            false => self.places.key(&format!("rules.{}.mode", rule.name())),
        };
        (effect, Some(place))
    }

    /// A rule whose condition holds.
    pub(super) fn holds(&self, rule: Rule, step: Step) -> Step {
        let (effect, mode_place) = self.effect(rule);
        Step { subject: rule.name(), effect: Some(effect), mode_place, ..step }
    }

    pub(super) fn posture(&self) -> Step {
        let (subject, name) = (Rule::Closed.name(), self.plan.posture.name());
        match self.posture_place() {
            None => Step::new(subject, format!("posture {name}, by `sipguard posture`")),
            place => Step::new(subject, format!("policy.posture = \"{name}\"")).at(place),
        }
    }

    /// `None` where an operator has chosen the posture.
    fn posture_place(&self) -> Option<Place> {
        let is_files = self.running.is_none_or(|running| !running.chose_posture);
        is_files.then(|| self.places.key("policy.posture"))
    }

    /// What is said of OPTIONS of strangers: by the posture, or by itself.
    pub(super) fn options(&self) -> Step {
        let subject = Rule::Options.name();
        match self.plan.posture {
            Posture::Open | Posture::Attack => Step { subject, ..self.posture() },
            Posture::Guarded | Posture::Closed => {
                let found = format!("policy.options = \"{}\"", self.plan.options.name());
                Step::new(subject, found).at(self.places.key("policy.options"))
            }
        }
    }

    pub(super) fn fragments(&self) -> Step {
        let found = format!("policy.fragments = \"{}\"", self.plan.fragments.name());
        Step::new(Rule::Fragment.name(), found).at(self.places.key("policy.fragments"))
    }

    /// The limit of one stranger, by class.
    pub(super) fn of_class(&self, class: Class) -> Step {
        let rule = rule_of(class);
        let key = format!("limits.stranger.{}", class.name());
        let (plan, written) = (self.plan, self.plan.limits.stranger(class));
        let passes = plan.posture == Posture::Guarded && plan.options == OptionsRule::Pass;
        if class == Class::Options && passes {
            return Step { subject: rule.name(), ..self.options() };
        }
        self.limit(rule, &key, written, plan.policy.limits[class as usize])
    }

    /// The limit of all strangers.
    pub(super) fn of_budget(&self, budget: Budget) -> Step {
        let key = format!("limits.strangers.{}", budget.name());
        let written = self.plan.limits.strangers[budget as usize];
        let in_force = self.plan.policy.strangers[budget as usize];
        self.limit(Rule::RateStrangers, &key, written, in_force)
    }

    /// The limit of what strangers send again.
    pub(super) fn of_reserve(&self) -> Step {
        let (written, in_force) = (self.plan.limits.reserve, self.plan.policy.reserve);
        self.limit(Rule::Greylist, "limits.strangers.reserve", written, in_force)
    }

    /// How many wrong passwords ban.
    pub(super) fn auth(&self) -> Step {
        let AuthSettings { failures, window, ban, .. } = self.plan.auth.under(self.plan.posture);
        let found = format!("{failures} wrong passwords in {window} ban for {ban}");
        // The profile says what is not written.
        let place = match self.places.key("auth.failures") {
            Place::Default => self.places.key("auth.profile"),
            place => place,
        };
        self.learned(Rule::Auth, found, place)
    }

    /// How many challenges and unknown accounts ban.
    pub(super) fn harvest(&self) -> Step {
        let AuthSettings { harvest, window, .. } = self.plan.auth.under(self.plan.posture);
        let found = format!("{harvest} challenges and unknown accounts in {window} ban");
        self.learned(Rule::Harvest, found, self.places.key("auth.harvest"))
    }

    /// What of the server's replies a stranger gets.
    pub(super) fn stealth(&self) -> Step {
        let subject = Rule::Stealth.name();
        if self.plan.posture == Posture::Open {
            return Step { subject, ..self.posture() };
        }
        let found = format!("policy.stealth = \"{}\"", self.plan.stealth.name());
        Step::new(subject, found).at(self.places.key("policy.stealth"))
    }

    /// What the server's replies bring about, by the posture or by what is
    /// written at `place`.
    fn learned(&self, rule: Rule, found: String, place: Place) -> Step {
        let subject = rule.name();
        match self.plan.posture {
            Posture::Open => Step { subject, ..self.posture() },
            Posture::Guarded | Posture::Closed => Step::new(subject, found).at(place),
            Posture::Attack => {
                let found = format!("{found} under posture attack");
                Step::new(subject, found).at(self.posture_place())
            }
        }
    }

    /// The limit of a network of strangers.
    pub(super) fn of_subnet(&self) -> Step {
        let written = self.plan.limits.subnet.total;
        self.limit(Rule::RateSubnet, "limits.subnet.total", written, self.plan.policy.subnet)
    }

    /// How many ports a stranger may use.
    pub(super) fn of_ports(&self) -> Step {
        let ports = self.plan.limits.ports;
        let subject = Rule::Fanout.name();
        let Some(max) = ports.max else {
            let found = "limits.ports.max = \"unlimited\"";
            return Step::new(subject, found).at(self.places.key("limits.ports.max"));
        };
        if self.plan.policy.max_ports == 0 {
            return Step { subject, ..self.posture() };
        }
        let found = format!("{max} ports in {}", ports.window);
        Step::new(subject, found).at(self.places.key("limits.ports.max"))
    }

    /// What one message may be: each limit that there is.
    pub(super) fn of_message(&self) -> Vec<Step> {
        let subject = Rule::Oversize.name();
        let message = self.plan.limits.message;
        let in_force = message.named().into_iter().filter_map(|(key, max)| Some((key, max?)));
        let limits: Vec<_> = in_force
            .map(|(key, max)| {
                let place = self.places.key(&format!("limits.message.{key}"));
                Step::new(subject, format!("limits.message.{key} = {max}")).at(place)
            })
            .collect();
        if limits.is_empty() {
            return vec![Step::new(subject, "limits.message sets no limit")];
        }
        match self.plan.posture {
            Posture::Open => vec![Step { subject, ..self.posture() }],
            _ => limits,
        }
    }

    fn limit(&self, rule: Rule, key: &str, written: RateLimit, in_force: Limit) -> Step {
        let posture = self.plan.posture.name();
        let (found, place) = if written.limit() == in_force {
            (format!("{key} {written}"), Some(self.places.key(key)))
        } else if in_force == Limit::UNLIMITED {
            (format!("no limit under posture {posture}"), self.posture_place())
        } else {
            let found = format!("a quarter of {key} {written} under posture {posture}");
            (found, self.posture_place())
        };
        Step::new(rule.name(), found).at(place)
    }
}

/// The rule of a stranger's limit.
pub(super) const fn rule_of(class: Class) -> Rule {
    match class {
        Class::Syn => Rule::SynRate,
        Class::Total => Rule::RateSource,
        _ => Rule::RateMethod,
    }
}
