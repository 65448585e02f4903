//! Stories: packets one after the other, both ways, with a clock of their own,
//! and what must become of each. They begin where nobody is known.

mod calls;
mod cast;
mod chatter;
mod credentials;
mod forms;
mod guesses;
mod learning;
mod modes;
mod offices;
mod phones;
mod pressure;
mod scene;
mod stealth;

pub use self::{
    chatter::{Chatter, Step},
    scene::Scene,
};

/// One story.
#[derive(Clone, Copy)]
pub struct Story {
    /// Unique; lower case with underscores.
    pub name: &'static str,
    /// The requirements that it shows, such as `L03`.
    pub ids: &'static [&'static str],
    /// The sipguard.toml.
    pub settings: &'static str,
    /// What happens.
    pub play: fn(&mut Scene<'_>),
}

impl Story {
    const fn new(
        name: &'static str,
        ids: &'static [&'static str],
        play: fn(&mut Scene<'_>),
    ) -> Self {
        Self { name, ids, settings: "", play }
    }

    const fn settings(mut self, settings: &'static str) -> Self {
        self.settings = settings;
        self
    }
}

/// Every story.
#[must_use]
pub fn stories() -> Vec<Story> {
    [
        phones::stories(),
        credentials::stories(),
        offices::stories(),
        calls::stories(),
        guesses::stories(),
        learning::stories(),
        modes::stories(),
        stealth::stories(),
        pressure::stories(),
        forms::stories(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use sipguard_common::rule::Rule;

    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        let mut seen = HashSet::new();
        for story in stories() {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(story.name.chars().all(plain), "{}", story.name);
            assert!(seen.insert(story.name), "{} stands twice", story.name);
        }
    }

    /// Rules of the way out have no cases, but stories.
    #[test]
    fn every_rule_of_the_way_out_has_a_story() {
        let ids: HashSet<_> = stories().iter().flat_map(|story| story.ids).copied().collect();
        for (rule, id) in [(Rule::Auth, "F21"), (Rule::Harvest, "F22"), (Rule::Stealth, "F23")] {
            assert!(rule.is_egress() && ids.contains(id), "{}", rule.name());
        }
        let egress = Rule::in_bits(Rule::EGRESS).count();
        assert_eq!(egress, 3, "a new rule of the way out needs a story");
    }
}
