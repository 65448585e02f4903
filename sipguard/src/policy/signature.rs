//! Signatures: what scanners write into their requests.

use std::fmt;

use serde::Serialize;
use sipguard_common::automaton::Field;

/// Where in a value the text of a signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// At its start.
    Prefix,
    /// It is the whole value, apart from white space around it.
    Exact,
    /// Anywhere.
    Contains,
}

impl Match {
    /// Every kind, as written in signatures.toml.
    pub const ALL: [Self; 3] = [Self::Prefix, Self::Exact, Self::Contains];

    /// The word in signatures.toml.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Exact => "exact",
            Self::Contains => "contains",
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

/// One enabled entry of signatures.toml. Letters match in either case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Unique; what users meet in counters and events.
    pub name: String,
    pub field: Field,
    /// The key `match`.
    pub kind: Match,
    /// Not empty, no control characters; no white space at an end that is
    /// compared with an end of the value.
    pub text: String,
}
