//! Regular expressions, as one automaton for all of a field.

use regex_automata::{
    Anchored, Input, MatchKind,
    dfa::{Automaton as _, StartKind, dense},
    nfa::thompson,
    util::{primitives::StateID, syntax},
};

use super::{Classes, Found};

/// Bytes of the automaton of one expression at most.
const ONE_LIMIT: usize = 1 << 18;
/// Bytes of that of all expressions of a field at most.
pub(super) const LIMIT: usize = 1 << 24;

type Dfa = dense::DFA<Vec<u32>>;

/// Expressions match bytes, at the start of a value, letters in either case.
fn build(patterns: &[&str], limit: usize) -> Result<Dfa, Box<dense::BuildError>> {
    dense::Builder::new()
        .configure(
            dense::Config::new()
                .start_kind(StartKind::Anchored)
                .match_kind(MatchKind::All)
                .accelerate(false)
                .dfa_size_limit(Some(limit))
                .determinize_size_limit(Some(4 * limit)),
        )
        .syntax(syntax::Config::new().unicode(false).utf8(false).case_insensitive(true))
        .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(limit)))
        .build_many(patterns)
        .map_err(Box::new)
}

fn start(dfa: &Dfa) -> Option<StateID> {
    let start = dfa.start_state_forward(&Input::new("").anchored(Anchored::Yes)).ok()?;
    (!dfa.is_dead_state(start)).then_some(start)
}

/// What is wrong with an expression, if anything is.
pub(in crate::policy) fn defect(pattern: &str) -> Option<String> {
    let dfa = match build(&[pattern], ONE_LIMIT) {
        Ok(dfa) => dfa,
        Err(error) if error.is_size_limit_exceeded() => {
            return Some("needs too large an automaton".to_owned());
        }
        Err(error) => {
            let mut cause: &dyn std::error::Error = &*error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            // The parser draws the place over several lines, the last of which
            // tells the reason.
            let text = cause.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            return Some(format!("does not compile: {reason}"));
        }
    };
    let matches_nothing = start(&dfa).is_some_and(|start| {
        dfa.is_match_state(dfa.next_eoi_state(start))
            || (0..=u8::MAX).any(|byte| dfa.is_match_state(dfa.next_state(start, byte)))
    });
    matches_nothing.then(|| "matches the empty text".to_owned())
}

/// The automaton of the expressions of one field.
pub(super) struct Patterns {
    dfa: Option<Dfa>,
    /// What each expression stands for.
    found: Vec<Found>,
    /// A byte of each class.
    bytes: Vec<u8>,
}

impl Patterns {
    /// `None` where they need more than [`LIMIT`]. Each was found to be without
    /// [`defect`].
    pub(super) fn new(patterns: &[(&str, Found)]) -> Option<Self> {
        let texts: Vec<&str> = patterns.iter().map(|(text, _)| *text).collect();
        let dfa = match texts.as_slice() {
            [] => None,
            texts => Some(build(texts, LIMIT).ok()?),
        };
        let found = patterns.iter().map(|(_, found)| *found).collect();
        Some(Self { dfa, found, bytes: Vec::new() })
    }

    /// A number for each byte: two bytes with one number are the same to every
    /// expression.
    pub(super) fn class(&self, byte: u8) -> u8 {
        self.dfa.as_ref().map_or(0, |dfa| dfa.byte_classes().get(byte))
    }

    /// To be called once the classes tell apart what the expressions do.
    pub(super) fn set_classes(&mut self, classes: &Classes) {
        self.bytes = classes.examples();
    }

    pub(super) fn start(&self) -> Option<StateID> {
        start(self.dfa.as_ref()?)
    }

    /// What is found at the end of a value.
    pub(super) fn end(&self, state: Option<StateID>) -> Found {
        let (Some(dfa), Some(state)) = (&self.dfa, state) else { return Found::default() };
        self.found(dfa, dfa.next_eoi_state(state))
    }

    /// The next state, and what is found before the byte: a match is known one
    /// byte behind its end.
    pub(super) fn step(&self, state: Option<StateID>, class: u8) -> (Option<StateID>, Found) {
        let (Some(dfa), Some(state)) = (&self.dfa, state) else { return Default::default() };
        let next = dfa.next_state(state, self.bytes[usize::from(class)]);
        ((!dfa.is_dead_state(next)).then_some(next), self.found(dfa, next))
    }

    fn found(&self, dfa: &Dfa, state: StateID) -> Found {
        if !dfa.is_match_state(state) {
            return Found::default();
        }
        (0..dfa.match_len(state))
            .map(|index| self.found[dfa.match_pattern(state, index).as_usize()])
            .fold(Found::default(), Found::and)
    }
}
