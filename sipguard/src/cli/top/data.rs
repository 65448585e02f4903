//! What has come from the daemon, as it may be shown: nothing in here acts on a
//! terminal.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::wire::{Event, Pulse, SourceRate},
    sanitise::sanitise,
};

/// Seconds that are kept, as many as the daemon keeps.
pub(super) const KEPT_SECONDS: usize = 300;

/// Events that are kept.
pub(super) const KEPT_EVENTS: usize = 300;

/// How long a source that sends no more stays in sight.
const LINGERS: SignedDuration = SignedDuration::from_secs(10);

/// Characters of a name, an address or a signature.
const MAX_NAME: usize = 80;

/// Characters of a message's text.
const MAX_TEXT: usize = 2000;

/// Seconds, sources and events.
#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    /// Oldest first; sources are in the next field.
    pub(super) pulses: VecDeque<Pulse>,
    pub(super) sources: Vec<Seen>,
    /// Newest first.
    pub(super) events: VecDeque<Noted>,
    /// Events that came too fast.
    pub(super) missed: u64,
    noted: u64,
}

/// A source, and when it was last among the busiest.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) rates: SourceRate,
    at: Timestamp,
}

/// An event with a number of its own, counted from 1.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) number: u64,
    pub(super) event: Event,
}

impl Data {
    /// Another second. Who is `held` stays, however quiet.
    pub(super) fn second(&mut self, pulse: Pulse, held: Option<&str>) {
        let mut pulse = clean_pulse(pulse);
        let now = pulse.time;
        let mut coming: BTreeMap<String, SourceRate> =
            pulse.sources.drain(..).map(|one| (one.source.clone(), one)).collect();
        self.sources.retain_mut(|seen| match coming.remove(&seen.rates.source) {
            Some(rates) => {
                *seen = Seen { rates, at: now };
                true
            }
            None => {
                quieten(&mut seen.rates);
                let silent = now.duration_since(seen.at);
                silent <= LINGERS || held == Some(seen.rates.source.as_str())
            }
        });
        self.sources.extend(coming.into_values().map(|rates| Seen { rates, at: now }));
        if self.pulses.len() == KEPT_SECONDS {
            self.pulses.pop_front();
        }
        self.pulses.push_back(pulse);
    }

    /// The seconds begin anew: all that the daemon knows will come.
    pub(super) fn restart_seconds(&mut self) {
        self.pulses.clear();
        self.sources.clear();
    }

    pub(super) fn event(&mut self, event: Event) {
        self.noted += 1;
        self.events.push_front(Noted { number: self.noted, event: clean_event(event) });
        self.events.truncate(KEPT_EVENTS);
    }

    pub(super) fn restart_events(&mut self) {
        self.events.clear();
    }

    pub(super) fn last(&self) -> Option<&Pulse> {
        self.pulses.back()
    }

    /// What `of` says of the last seconds, at most `count`, oldest first.
    pub(super) fn history(&self, count: usize, of: impl Fn(&Pulse) -> f64) -> Vec<f64> {
        let skipped = self.pulses.len().saturating_sub(count);
        self.pulses.iter().skip(skipped).map(of).collect()
    }
}

/// Silent for a second.
fn quieten(rates: &mut SourceRate) {
    let SourceRate { rate, dropped, options, register, invite, estimated, .. } = rates;
    for number in [rate, dropped, options, register, invite] {
        *number = 0.0;
    }
    *estimated = false;
}

pub(super) fn clean_pulse(mut pulse: Pulse) -> Pulse {
    let Pulse { posture, rules, replies, sources, maps, .. } = &mut pulse;
    clean(posture);
    for rule in rules {
        clean(&mut rule.rule);
        clean(&mut rule.verdict);
    }
    for reply in replies {
        clean(&mut reply.class);
    }
    for one in sources {
        clean(&mut one.source);
        clean(&mut one.rule);
        clean(&mut one.standing);
        one.method.as_mut().into_iter().for_each(clean);
    }
    for map in maps {
        clean(&mut map.name);
    }
    pulse
}

fn clean_event(mut event: Event) -> Event {
    let Event { interface, transport, method, rule, signature, outcome, text, .. } = &mut event;
    for name in [interface, rule, outcome] {
        clean(name);
    }
    for name in [transport, method, signature].into_iter().flatten() {
        clean(name);
    }
    *text = sanitise(text, MAX_TEXT);
    event
}

fn clean(text: &mut String) {
    *text = sanitise(text, MAX_NAME);
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{event, pulse},
        *,
    };

    fn names(data: &Data) -> Vec<(&str, f64)> {
        let mut names: Vec<_> =
            data.sources.iter().map(|seen| (seen.rates.source.as_str(), seen.rates.rate)).collect();
        names.sort_by_key(|(name, _)| *name);
        names
    }

    #[test]
    fn f35_who_falls_silent_lingers_and_who_is_held_stays() {
        let mut data = Data::default();
        data.second(pulse(0, &[("198.51.100.7", 5.0), ("198.51.100.8", 3.0)]), None);
        data.second(pulse(1, &[("198.51.100.9", 1.0)]), None);
        assert_eq!(
            names(&data),
            [("198.51.100.7", 0.0), ("198.51.100.8", 0.0), ("198.51.100.9", 1.0)]
        );
        data.second(pulse(11, &[]), Some("198.51.100.7"));
        assert_eq!(names(&data), [("198.51.100.7", 0.0), ("198.51.100.9", 0.0)]);
        data.second(pulse(12, &[("198.51.100.7", 2.0)]), None);
        assert_eq!(names(&data)[0], ("198.51.100.7", 2.0));
    }

    #[test]
    fn no_more_is_kept_than_can_be_shown() {
        let mut data = Data::default();
        for second in 0..(KEPT_SECONDS + 5) {
            data.second(pulse(i64::try_from(second).unwrap(), &[]), None);
            data.event(event(7, "options"));
        }
        assert_eq!((data.pulses.len(), data.events.len()), (KEPT_SECONDS, KEPT_EVENTS));
        assert_eq!(data.events[0].number, (KEPT_SECONDS + 5) as u64);
        assert_eq!(data.history(3, |pulse| pulse.seconds), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn f35_nothing_that_comes_in_acts_on_a_terminal() {
        const EVIL: &str = "\u{1b}[2J\u{202e}\n\u{9b}x";
        let mut evil = pulse(0, &[(EVIL, 1.0)]);
        evil.posture = EVIL.to_owned();
        evil.sources[0].method = Some(EVIL.to_owned());
        evil.sources[0].rule = EVIL.to_owned();
        evil.sources[0].standing = EVIL.to_owned();
        evil.rules[0].rule = EVIL.to_owned();
        evil.rules[0].verdict = EVIL.to_owned();
        evil.replies[0].class = EVIL.to_owned();
        evil.maps[0].name = EVIL.to_owned();
        let mut data = Data::default();
        data.second(evil, None);
        let mut evil = event(7, EVIL);
        evil.interface = EVIL.to_owned();
        evil.transport = Some(EVIL.to_owned());
        evil.method = Some(EVIL.to_owned());
        evil.signature = Some(EVIL.to_owned());
        evil.outcome = EVIL.to_owned();
        evil.text = EVIL.to_owned();
        data.event(evil);
        let pulses = serde_json::to_string(&data.pulses).unwrap();
        let sources: Vec<_> = data.sources.iter().map(|seen| &seen.rates).collect();
        let sources = serde_json::to_string(&sources).unwrap();
        let events: Vec<_> = data.events.iter().map(|noted| &noted.event).collect();
        let events = serde_json::to_string(&events).unwrap();
        for shown in [pulses, sources, events] {
            assert!(shown.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{shown}");
            // Control characters as JSON has them.
            assert!(!shown.contains("\\u00") && !shown.contains("\\n"), "{shown}");
            assert!(shown.contains("\\\\u{1b}[2J"), "{shown}");
        }
    }
}
