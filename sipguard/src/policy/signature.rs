//! Signatures: what scanners write into their requests.

use std::fmt;

use serde::Serialize;
use sipguard_common::automaton::Field;

/// Where in a value the text of a signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// At its start.
    Prefix,
    /// It is the whole value, apart from white space around it.
    Exact,
    /// Anywhere.
    Contains,
    /// The text is a regular expression for its start.
    Regex,
}

impl Match {
    /// Every kind, as written in signatures.toml.
    pub const ALL: [Self; 4] = [Self::Prefix, Self::Exact, Self::Contains, Self::Regex];

    /// The word in signatures.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Exact => "exact",
            Self::Contains => "contains",
            Self::Regex => "regex",
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The word for a field in signatures.toml.
#[must_use]
pub const fn field_name(field: Field) -> &'static str {
    match field {
        Field::UserAgent => "user-agent",
        Field::From => "from",
        Field::To => "to",
        Field::Contact => "contact",
        Field::CallId => "call-id",
        Field::Via => "via",
        Field::CSeq => "cseq",
        Field::Subject => "subject",
        Field::RequestUri => "request-uri",
        Field::StartLine => "start-line",
        Field::Body => "body",
    }
}

/// What must stand in a value. Letters match in either case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    pub field: Field,
    /// The key `match`.
    pub kind: Match,
    /// Not empty, no control characters; no white space at an end that is
    /// compared with an end of the value. A regular expression compiles, and
    /// does not match the empty text.
    pub text: String,
}

/// One enabled entry of signatures.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Unique; what users meet in counters and events.
    pub name: String,
    /// At least one; all must hold in the same message.
    pub conditions: Vec<Condition>,
}

impl Signature {
    /// Its condition, where there is just one.
    #[must_use]
    pub fn only(&self) -> Option<&Condition> {
        match self.conditions.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}
