//! The decision stream: what a local API says is new, and what no longer holds.
//! Read piece by piece, for there may be a million decisions in an answer, and
//! taken as a whole or not at all.

use std::{fmt, io::Read, time::Duration};

use ipnet::IpNet;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    CrowdsecError, go_duration,
    modest::Modest,
    words::{Words, WordsId},
};
use crate::{
    policy::{CrowdsecSettings, parse_net},
    sanitise::sanitise,
};

/// Bytes that a decision may take; those of a real one take 200.
const BYTES_EACH: u64 = 1024;

/// Bytes of the smallest limit of an answer.
const LEAST_BYTES: u64 = 1 << 20;

/// Decisions that have ended, for each that may hold: local APIs tell of those, too.
const ENDED_EACH: usize = 2;

/// Characters of an error.
const MAX_ERROR: usize = 160;

/// One decision that is to be enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    pub net: IpNet,
    /// By which it is taken back.
    pub id: u64,
    /// From the answer on.
    pub left: Duration,
    pub words: WordsId,
}

/// How many decisions were left out, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct LeftOut {
    /// Types other than `ban`, and simulated ones.
    pub kind: usize,
    /// Scopes other than `ip` and `range`.
    pub scope: usize,
    /// No address, or no duration.
    pub unreadable: usize,
    /// Wider than `min_prefix_v4` and `min_prefix_v6` allow.
    pub wide: usize,
    /// They would hit this host or its gateway.
    pub own: usize,
    /// More than `max_decisions`, or than the kernel's list has room for.
    pub full: usize,
}

impl LeftOut {
    /// Both.
    pub fn add(&mut self, other: Self) {
        self.kind += other.kind;
        self.scope += other.scope;
        self.unreadable += other.unreadable;
        self.wide += other.wide;
        self.own += other.own;
        self.full += other.full;
    }
}

/// An answer of the stream.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub new: Vec<Named>,
    /// What no longer holds, by network and id.
    pub deleted: Vec<(IpNet, u64)>,
    pub left_out: LeftOut,
}

/// Reads an answer. `words` gets the texts in it.
///
/// # Errors
/// It is no answer of a local API, or larger than any.
pub fn read(
    body: impl Read,
    settings: &CrowdsecSettings,
    words: &mut Words,
) -> Result<Answer, CrowdsecError> {
    let most = (settings.max_decisions as u64).saturating_mul(BYTES_EACH).max(LEAST_BYTES);
    let mut modest = Modest::new(body, most);
    let mut answer = Answer::default();
    let mut parts = 0;
    let reader = std::io::BufReader::with_capacity(64 << 10, &mut modest);
    let mut json = serde_json::Deserializer::from_reader(reader);
    let seed = Whole { answer: &mut answer, settings, words, parts: &mut parts };
    let done = seed.deserialize(&mut json).and_then(|()| json.end());
    match done {
        Err(_) if modest.is_over() => Err(CrowdsecError::TooLarge(most)),
        Err(error) => Err(CrowdsecError::NotLapi(sanitise(&error.to_string(), MAX_ERROR))),
        Ok(()) if parts == 0 => {
            Err(CrowdsecError::NotLapi("it names neither new nor deleted decisions".to_owned()))
        }
        Ok(()) => Ok(answer),
    }
}

/// A decision as it comes. Any part may be missing, or null.
#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    origin: Option<String>,
    #[serde(default)]
    scenario: Option<String>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    duration: Option<String>,
    #[serde(default)]
    simulated: Option<bool>,
}

impl Raw {
    /// Whom it is about; `None` is counted.
    fn net(&self, left_out: &mut LeftOut) -> Option<IpNet> {
        let is = |text: &Option<String>, word: &str| {
            text.as_deref().is_some_and(|text| text.eq_ignore_ascii_case(word))
        };
        if !is(&self.scope, "ip") && !is(&self.scope, "range") {
            left_out.scope += 1;
            return None;
        }
        if !is(&self.kind, "ban") || self.simulated == Some(true) {
            left_out.kind += 1;
            return None;
        }
        let net = self.value.as_deref().and_then(|value| parse_net(value.trim()).ok());
        if net.is_none() {
            left_out.unreadable += 1;
        }
        net
    }
}

/// The outermost object.
struct Whole<'a> {
    answer: &'a mut Answer,
    settings: &'a CrowdsecSettings,
    words: &'a mut Words,
    parts: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with new and deleted decisions")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { answer, settings, words, parts } = self;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "new" => {
                    *parts += 1;
                    map.next_value_seed(Part(|raw| new(raw, answer, settings, words)))?;
                }
                "deleted" => {
                    *parts += 1;
                    map.next_value_seed(Part(|raw| deleted(&raw, answer, settings)))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

fn new(raw: Raw, answer: &mut Answer, settings: &CrowdsecSettings, words: &mut Words) {
    let Some(net) = raw.net(&mut answer.left_out) else { return };
    let Some(left) = raw.duration.as_deref().and_then(go_duration::parse) else {
        answer.left_out.unreadable += 1;
        return;
    };
    if !settings.takes(net) {
        answer.left_out.wide += 1;
    } else if answer.new.len() >= settings.max_decisions {
        answer.left_out.full += 1;
    } else if !left.is_zero() {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let words = words.id(&text(&raw.origin), &text(&raw.scenario));
        answer.new.push(Named { net, id: raw.id.unwrap_or_default(), left, words });
    }
}

fn deleted(raw: &Raw, answer: &mut Answer, settings: &CrowdsecSettings) {
    // What is not enforced needs no end.
    let Some(net) = raw.net(&mut LeftOut::default()) else { return };
    if answer.deleted.len() < settings.max_decisions.saturating_mul(ENDED_EACH) {
        answer.deleted.push((net, raw.id.unwrap_or_default()));
    }
}

/// An array of decisions, or null.
struct Part<F>(F);

impl<'de, F: FnMut(Raw)> DeserializeSeed<'de> for Part<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_option(self)
    }
}

impl<'de, F: FnMut(Raw)> Visitor<'de> for Part<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of decisions, or null")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(raw) = list.next_element::<Raw>()? {
            (self.0)(raw);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
