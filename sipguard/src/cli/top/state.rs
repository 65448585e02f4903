//! What is shown: the data, what was chosen of it, and what lies above it.

use std::{cmp::Reverse, net::IpAddr, time::Instant};

use jiff::Timestamp;

use super::{
    data::{Data, Noted},
    form::{self, Form},
    line::Line,
    wish::{Answer, Ask},
};
use crate::{
    api::wire::{Event, Pulse, RuleRate, SourceRate},
    sanitise::{sanitise, sanitise_lines},
};

/// Seconds whose packets decide the order of the rules.
const RECENT: usize = 60;

/// After how many seconds without a second of the daemon's something is wrong.
const QUIET: u64 = 4;

/// Seconds that a message is shown.
const MESSAGE: u64 = 12;

/// A part of the picture in which something can be selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    Rules,
    #[default]
    Sources,
    Events,
}

impl Pane {
    const ALL: [Self; 3] = [Self::Sources, Self::Events, Self::Rules];

    fn step(self, step: usize) -> Self {
        let at = Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0);
        Self::ALL.iter().cycle().nth(at + step).copied().unwrap_or_default()
    }

    pub(super) fn next(self) -> Self {
        self.step(1)
    }

    pub(super) fn back(self) -> Self {
        self.step(Self::ALL.len() - 1)
    }
}

/// By what sources are sorted, the most first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Rate,
    Dropped,
    Options,
    Register,
    Invite,
    Packets,
    Source,
}

impl Sort {
    pub(super) const ALL: [Self; 7] = [
        Self::Rate,
        Self::Dropped,
        Self::Options,
        Self::Register,
        Self::Invite,
        Self::Packets,
        Self::Source,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Dropped => "dropped",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Invite => "INVITE",
            Self::Packets => "packets",
            Self::Source => "address",
        }
    }

    pub(super) fn step(self, step: usize) -> Self {
        let at = Self::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        Self::ALL.iter().cycle().nth(at + step).copied().unwrap_or_default()
    }

    /// Higher comes first.
    fn of(self, one: &SourceRate) -> f64 {
        match self {
            Self::Rate => one.rate,
            Self::Dropped => one.dropped,
            Self::Options => one.options,
            Self::Register => one.register,
            Self::Invite => one.invite,
            // Which packets come first and second, then.
            Self::Packets | Self::Source => 0.0,
        }
    }
}

/// Whether the daemon tells anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Link {
    #[default]
    Connecting,
    Live,
    Lost {
        since: Timestamp,
        why: String,
    },
}

/// What lies above the picture and takes the keys.
#[derive(Clone, Debug, Default)]
pub(super) enum Layer {
    #[default]
    None,
    Help,
    Filter(Line),
    Form(Form),
    Text(Text),
}

/// A text to read.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub(super) title: String,
    pub(super) body: String,
    /// Lines that are scrolled past.
    pub(super) scroll: usize,
    /// Whom it is about.
    pub(super) source: Option<String>,
    /// Whose answer is waited for.
    awaited: Option<IpAddr>,
}

/// A line about what has happened.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) is_good: bool,
    at: Instant,
}

#[derive(Debug, Default)]
pub(super) struct State {
    live: Data,
    /// What is shown while it is paused.
    frozen: Option<Box<Data>>,
    pub(super) link: Link,
    /// When the last second came.
    heard: Option<Instant>,
    /// Seconds of silence, where they are too many.
    pub(super) quiet: Option<u64>,
    pub(super) pane: Pane,
    pub(super) sort: Sort,
    pub(super) filter: String,
    selected_source: Option<String>,
    selected_rule: Option<String>,
    selected_event: Option<u64>,
    pub(super) layer: Layer,
    pub(super) message: Option<Message>,
    /// Columns and rows.
    pub(super) size: (u16, u16),
}

impl State {
    pub(super) fn data(&self) -> &Data {
        self.frozen.as_deref().unwrap_or(&self.live)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    pub(super) fn pause(&mut self) {
        self.frozen = match self.frozen {
            None => Some(Box::new(self.live.clone())),
            Some(_) => None,
        };
    }

    /// The daemon answers: all its seconds will come.
    pub(super) fn connected(&mut self, now: Instant) {
        if matches!(self.link, Link::Lost { .. }) {
            self.say("connected again".to_owned(), true, now);
        }
        self.link = Link::Live;
        self.live.restart_seconds();
    }

    pub(super) fn pulse(&mut self, pulse: Pulse, now: Instant) {
        self.heard = Some(now);
        self.quiet = None;
        self.live.second(pulse, self.selected_source.as_deref());
    }

    pub(super) fn events_begin(&mut self) {
        self.live.restart_events();
    }

    pub(super) fn event(&mut self, event: Event) {
        self.live.event(event);
    }

    pub(super) fn missed(&mut self, missed: u64) {
        self.live.missed += missed;
    }

    /// The daemon answers no more; told again and again while it does not.
    pub(super) fn lost(&mut self, why: &str, now: Timestamp) {
        let since = match self.link {
            Link::Lost { since, .. } => since,
            _ => now,
        };
        self.link = Link::Lost { since, why: sanitise(why, 300) };
        self.quiet = None;
        self.heard = None;
    }

    /// Time passes.
    pub(super) fn tick(&mut self, now: Instant) {
        let since = |then: Instant| now.saturating_duration_since(then).as_secs();
        self.quiet = self.heard.map(since).filter(|seconds| *seconds >= QUIET);
        if self.message.as_ref().is_some_and(|message| since(message.at) >= MESSAGE) {
            self.message = None;
        }
    }

    pub(super) fn say(&mut self, text: String, is_good: bool, now: Instant) {
        self.message = Some(Message { text, is_good, at: now });
    }

    /// What the daemon has answered to a wish. What is being typed is never
    /// covered by it.
    pub(super) fn answered(&mut self, answer: Answer, now: Instant) {
        match answer {
            Answer::Done(text) => self.say(text, true, now),
            Answer::Failed(text) => match &mut self.layer {
                Layer::Text(shown) if shown.awaited.is_some() => {
                    shown.awaited = None;
                    shown.body = text;
                }
                Layer::None => {
                    let title = "Not done".to_owned();
                    self.layer = Layer::Text(Text { title, body: text, ..Text::default() });
                }
                _ => self.say(text.replace('\n', "; "), false, now),
            },
            Answer::Why(address, text) => {
                if let Layer::Text(shown) = &mut self.layer
                    && shown.awaited == Some(address)
                {
                    shown.awaited = None;
                    shown.body = text;
                }
            }
        }
    }

    /// Rules that ever counted something, who did most lately first.
    pub(super) fn rules(&self) -> Vec<&RuleRate> {
        let data = self.data();
        let Some(last) = data.last() else { return Vec::new() };
        let lately = |name: &str| -> f64 {
            let of = |one: &&RuleRate| one.rule == name;
            let rates = data.history(RECENT, |pulse| {
                pulse.rules.iter().find(of).map_or(0.0, |rule| rule.rate + rule.would_rate)
            });
            rates.iter().sum()
        };
        let counted = last.rules.iter().filter(|rule| rule.packets > 0 || rule.would_packets > 0);
        let mut rules: Vec<(f64, &RuleRate)> =
            counted.map(|rule| (lately(&rule.rule), rule)).collect();
        rules.sort_by(|(a, one), (b, other)| b.total_cmp(a).then(other.packets.cmp(&one.packets)));
        rules.into_iter().map(|(_, rule)| rule).collect()
    }

    /// Sources that the filter lets through, in their order.
    pub(super) fn sources(&self) -> Vec<&SourceRate> {
        let words = words(&self.filter);
        let all = self.data().sources.iter().map(|seen| &seen.rates);
        let mut shown: Vec<&SourceRate> = all
            .filter(|one| {
                let method = one.method.as_deref().unwrap_or_default();
                matches(&words, &[&one.source, method, &one.rule, &one.standing])
            })
            .collect();
        shown.sort_by(|a, b| {
            let by = self.sort.of(b).total_cmp(&self.sort.of(a));
            let packets = || match self.sort {
                Sort::Source => std::cmp::Ordering::Equal,
                _ => b.packets.cmp(&a.packets),
            };
            by.then_with(packets).then_with(|| place(a).cmp(&place(b)))
        });
        shown
    }

    /// Events likewise, newest first.
    pub(super) fn events(&self) -> Vec<&Noted> {
        let words = words(&self.filter);
        let fits = |noted: &&Noted| {
            let event = &noted.event;
            let method = event.method.as_deref().unwrap_or_default();
            let signature = event.signature.as_deref().unwrap_or_default();
            let source = event.source.to_string();
            matches(&words, &[&source, method, &event.rule, &event.outcome, signature])
        };
        self.data().events.iter().filter(fits).collect()
    }

    /// The row of what is selected in a pane: the first until something is.
    pub(super) fn row(&self, pane: Pane) -> usize {
        let found = match pane {
            Pane::Rules => {
                let wanted = self.selected_rule.as_deref();
                self.rules().iter().position(|rule| Some(rule.rule.as_str()) == wanted)
            }
            Pane::Sources => {
                let wanted = self.selected_source.as_deref();
                self.sources().iter().position(|one| Some(one.source.as_str()) == wanted)
            }
            Pane::Events => {
                let events = self.events();
                events.iter().position(|noted| Some(noted.number) == self.selected_event)
            }
        };
        found.unwrap_or(0)
    }

    /// Whether the operator has selected something in a pane, which then stays
    /// selected wherever it moves.
    pub(super) fn has_selected(&self, pane: Pane) -> bool {
        match pane {
            Pane::Rules => self.selected_rule.is_some(),
            Pane::Sources => self.selected_source.is_some(),
            Pane::Events => self.selected_event.is_some(),
        }
    }

    /// Selects another row of the pane: so many further down.
    pub(super) fn walk(&mut self, step: isize) {
        let row = self.row(self.pane).saturating_add_signed(step);
        match self.pane {
            Pane::Rules => {
                let rules = self.rules();
                self.selected_rule = clamped(&rules, row).map(|rule| rule.rule.clone());
            }
            Pane::Sources => {
                let sources = self.sources();
                self.selected_source = clamped(&sources, row).map(|one| one.source.clone());
            }
            Pane::Events => {
                let events = self.events();
                self.selected_event = clamped(&events, row).map(|noted| noted.number);
            }
        }
    }

    /// Nothing is selected, and the filter lets all through.
    pub(super) fn release(&mut self) {
        self.selected_rule = None;
        self.selected_source = None;
        self.selected_event = None;
        self.filter.clear();
    }

    /// Whom a key is about: the selected source, or the selected event's.
    pub(super) fn source(&self) -> Option<String> {
        match self.pane {
            Pane::Rules => None,
            Pane::Sources => {
                self.sources().get(self.row(Pane::Sources)).map(|one| one.source.clone())
            }
            Pane::Events => {
                let noted = self.events().get(self.row(Pane::Events)).copied();
                noted.map(|noted| noted.event.source.to_string())
            }
        }
    }

    /// The selected rule.
    pub(super) fn rule(&self) -> Option<String> {
        self.rules().get(self.row(Pane::Rules)).map(|rule| rule.rule.clone())
    }

    /// What holds for a source, where it is among those shown.
    pub(super) fn standing(&self, source: &str) -> Option<&str> {
        let all = &self.data().sources;
        let seen = all.iter().find(|seen| seen.rates.source == source);
        seen.map(|seen| seen.rates.standing.as_str())
    }

    /// Opens a text that will say why, and gives what to ask for.
    pub(super) fn ask_why(&mut self, source: &str) -> Option<Ask> {
        let address = self.address(source)?;
        self.layer = Layer::Text(Text {
            title: format!("Why {address}"),
            body: "asking…".to_owned(),
            scroll: 0,
            source: Some(source.to_owned()),
            awaited: Some(address),
        });
        Some(Ask::Why(address))
    }

    /// The address to ask about: of a network, one that an event has come from.
    fn address(&self, source: &str) -> Option<IpAddr> {
        let net = crate::policy::parse_net(source).ok()?;
        let mut events = self.data().events.iter().map(|noted| noted.event.source);
        events.find(|address| net.contains(address)).or_else(|| form::address(source))
    }

    /// Opens a text with all that is known of the selected event.
    pub(super) fn open_event(&mut self) {
        let noted = self.events().get(self.row(Pane::Events)).copied();
        let Some(event) = noted.map(|noted| &noted.event) else { return };
        let head = crate::cli::events::view(event);
        // Line ends as the daemon has escaped them.
        let text = event.text.replace("\\u{d}\\u{a}", "\n");
        let body = format!("{head}\n{} bytes:\n\n{text}", event.length);
        self.layer = Layer::Text(Text {
            title: format!("{} {}", event.rule, event.source),
            body: sanitise_lines(&body, 5000),
            source: Some(event.source.to_string()),
            ..Text::default()
        });
    }
}

fn clamped<'a, T>(rows: &[&'a T], row: usize) -> Option<&'a T> {
    rows.get(row.min(rows.len().saturating_sub(1))).copied()
}

fn words(filter: &str) -> Vec<String> {
    filter.split_whitespace().map(str::to_lowercase).collect()
}

/// Whether each word is in one of the texts.
fn matches(words: &[String], texts: &[&str]) -> bool {
    let is_in = |word: &String| texts.iter().any(|text| text.to_lowercase().contains(word));
    words.iter().all(is_in)
}

/// Addresses by their numbers, IPv4 first; names behind.
fn place(one: &SourceRate) -> (Reverse<bool>, Option<IpAddr>, &str) {
    let address = form::address(&one.source);
    (Reverse(address.is_some()), address, &one.source)
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{event, pulse},
        *,
    };

    const THREE: [(&str, f64); 3] =
        [("198.51.100.9", 1.0), ("198.51.100.10", 5.0), ("2001:db8:2::/64", 3.0)];

    fn state(sources: &[(&str, f64)]) -> State {
        let mut state = State::default();
        state.connected(Instant::now());
        state.pulse(pulse(0, sources), Instant::now());
        state
    }

    fn shown(state: &State) -> Vec<&str> {
        state.sources().iter().map(|one| one.source.as_str()).collect()
    }

    #[test]
    fn f35_sources_are_sorted_and_filtered() {
        let mut state = state(&THREE);
        assert_eq!(shown(&state), ["198.51.100.10", "2001:db8:2::/64", "198.51.100.9"]);
        state.sort = Sort::Source;
        assert_eq!(shown(&state), ["198.51.100.9", "198.51.100.10", "2001:db8:2::/64"]);
        state.filter = "2001 Options".to_owned();
        assert_eq!(shown(&state), ["2001:db8:2::/64"]);
        state.filter = "invite".to_owned();
        assert!(shown(&state).is_empty());
        state.event(event(7, "options"));
        state.filter = "FRIENDLY".to_owned();
        assert_eq!(state.events().len(), 1);
        state.filter = "unfriendly".to_owned();
        assert!(state.events().is_empty());
        assert_eq!(Sort::ALL.iter().fold(Sort::Rate, |sort, _| sort.step(1)), Sort::Rate);
    }

    #[test]
    fn f35_who_is_selected_stays_selected_wherever_he_moves() {
        let mut state = state(&THREE);
        assert_eq!(state.source().as_deref(), Some("198.51.100.10"));
        state.walk(1);
        assert_eq!(state.source().as_deref(), Some("2001:db8:2::/64"));
        state.pulse(pulse(1, &[("2001:db8:2::/64", 9.0), ("198.51.100.9", 10.0)]), Instant::now());
        assert_eq!(state.source().as_deref(), Some("2001:db8:2::/64"));
        for second in 2..30 {
            state.pulse(pulse(second, &[("198.51.100.9", 10.0)]), Instant::now());
        }
        assert_eq!(state.source().as_deref(), Some("2001:db8:2::/64"));
        state.walk(-5);
        assert_eq!(state.source().as_deref(), Some("198.51.100.9"));
        state.walk(99);
        assert_eq!(state.row(Pane::Sources), 1);
        state.release();
        assert!(!state.has_selected(Pane::Sources));
    }

    #[test]
    fn f35_a_pause_holds_what_is_shown() {
        let mut state = state(&THREE);
        state.pause();
        state.pulse(pulse(1, &[("203.0.113.9", 99.0)]), Instant::now());
        state.event(event(7, "options"));
        assert!(state.is_paused() && !shown(&state).contains(&"203.0.113.9"));
        assert!(state.events().is_empty());
        state.pause();
        assert!(shown(&state).contains(&"203.0.113.9"));
        assert_eq!(state.events().len(), 1);
    }

    #[test]
    fn f35_a_lost_daemon_is_told_of_and_its_return_begins_anew() {
        let mut state = state(&THREE);
        let then: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
        state.lost("not running \u{1b}", then);
        state.lost("not running", "2026-01-02T12:00:09Z".parse().unwrap());
        assert_eq!(state.link, Link::Lost { since: then, why: "not running".to_owned() });
        assert_eq!(state.sources().len(), 3);
        state.connected(Instant::now());
        assert_eq!(state.link, Link::Live);
        assert!(state.sources().is_empty());
        assert_eq!(state.message.unwrap().text, "connected again");
    }

    #[test]
    fn f35_silence_is_noticed() {
        let mut state = state(&THREE);
        let now = Instant::now();
        state.pulse(pulse(1, &THREE), now);
        state.say("x".to_owned(), true, now);
        state.tick(now + std::time::Duration::from_secs(2));
        assert_eq!(state.quiet, None);
        state.tick(now + std::time::Duration::from_secs(20));
        assert_eq!(state.quiet, Some(20));
        assert!(state.message.is_none());
    }

    #[test]
    fn f35_rules_that_counted_come_in_the_order_of_their_last_minute() {
        let mut state = state(&THREE);
        let names = |state: &State| -> Vec<String> {
            state.rules().iter().map(|rule| rule.rule.clone()).collect()
        };
        assert_eq!(names(&state), ["signature", "stranger", "options"]);
        for second in 1..70 {
            let mut quiet = pulse(second, &[]);
            quiet.rules[2].would_rate = 5.0;
            state.pulse(quiet, Instant::now());
        }
        assert_eq!(names(&state), ["options", "stranger", "signature"]);
    }

    #[test]
    fn f35_answers_cover_nothing_that_is_typed() {
        let mut state = state(&THREE);
        let now = Instant::now();
        state.layer = Layer::Filter(Line::default());
        state.answered(Answer::Failed("no\nhint: x".to_owned()), now);
        assert!(matches!(state.layer, Layer::Filter(_)));
        assert_eq!(state.message.as_ref().unwrap().text, "no; hint: x");
        state.layer = Layer::None;
        state.answered(Answer::Failed("no".to_owned()), now);
        assert!(matches!(&state.layer, Layer::Text(text) if text.body == "no"));

        let asked = state.ask_why("198.51.100.9");
        let Some(Ask::Why(address)) = asked else { panic!("{asked:?}") };
        state.answered(Answer::Why([0; 4].into(), "other".to_owned()), now);
        state.answered(Answer::Why(address, "because".to_owned()), now);
        state.answered(Answer::Why(address, "late".to_owned()), now);
        assert!(matches!(&state.layer, Layer::Text(text) if text.body == "because"));
    }

    #[test]
    fn f35_of_a_network_an_address_is_asked_for_that_has_sent_something() {
        let mut state = state(&THREE);
        assert_eq!(state.address("2001:db8:2::/64"), "2001:db8:2::".parse().ok());
        let from = Event { source: "2001:db8:2::7".parse().unwrap(), ..event(7, "options") };
        state.event(from);
        assert_eq!(state.address("2001:db8:2::/64"), "2001:db8:2::7".parse().ok());
        assert!(state.ask_why("nonsense").is_none());
    }

    #[test]
    fn f35_an_event_is_read_line_by_line() {
        let mut state = state(&THREE);
        state.event(event(7, "options"));
        state.pane = Pane::Events;
        assert_eq!(state.source().as_deref(), Some("198.51.100.7"));
        state.open_event();
        let Layer::Text(text) = &state.layer else { panic!("no text") };
        assert!(text.body.contains("\nOPTIONS sip:100@203.0.113.1 SIP/2.0\nVia: x"), "{text:?}");
    }
}
