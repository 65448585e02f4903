//! One question of a decision and its answer.

use std::fmt;

use serde::Serialize;

use crate::policy::Place;

/// What a rule does whose condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    Drop,
    /// The rule is in mode observe.
    WouldDrop,
    /// Nothing: the rule is off.
    Off,
}

/// A question, what was found, and the line that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The name of a rule, or `packet` or `message` for what is looked at.
    pub subject: &'static str,
    /// May quote the packet, as it came.
    pub found: String,
    /// `None` where nothing that is written decides.
    pub place: Option<Place>,
    /// `None` where the rule does not hold.
    pub effect: Option<Effect>,
    /// What says that the rule does not drop.
    pub mode_place: Option<Place>,
}

impl Step {
    /// An answer after which the next question comes.
    pub(super) fn new(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, found: found.into(), place: None, effect: None, mode_place: None }
    }

    pub(super) fn at(self, place: impl Into<Option<Place>>) -> Self {
        Self { place: place.into(), ..self }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, found, place, effect, mode_place } = self;
        write!(f, "{subject}: {found}")?;
        if let Some(place) = place {
            write!(f, " ({place})")?;
        }
        f.write_str(match effect {
            None => "",
            Some(Effect::Drop) => ": drop",
            Some(Effect::WouldDrop) => ": would drop, but observes",
            Some(Effect::Off) => ": nothing, the rule is off",
        })?;
        match mode_place {
            Some(place) => write!(f, " ({place})"),
            None => Ok(()),
        }
    }
}
