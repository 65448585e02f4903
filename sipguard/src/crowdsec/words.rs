//! Who decided, and why: a few texts that a million decisions share.

use std::{collections::HashMap, sync::Arc};

use crate::sanitise::sanitise;

/// Different pairs of texts that are told apart. Whoever sends more of them
/// has them all called the same.
const MOST: usize = 4096;

/// Characters of each.
const MAX_TEXT: usize = 100;

/// The number of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WordsId(u16);

/// An origin (`cscli`, `crowdsec`, `CAPI`, `lists`...) and a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    pub origin: String,
    pub scenario: String,
}

/// All pairs so far. A clone is cheap enough for each answer.
#[derive(Clone, Debug)]
pub struct Words {
    all: Vec<Arc<Pair>>,
    ids: HashMap<Arc<Pair>, WordsId>,
}

impl Default for Words {
    /// The first stands for all for which there was no room.
    fn default() -> Self {
        let mut words = Self { all: Vec::new(), ids: HashMap::new() };
        words.id("other", "other");
        words
    }
}

impl Words {
    /// The number of a pair.
    pub fn id(&mut self, origin: &str, scenario: &str) -> WordsId {
        let pair =
            Pair { origin: sanitise(origin, MAX_TEXT), scenario: sanitise(scenario, MAX_TEXT) };
        if let Some(id) = self.ids.get(&pair) {
            return *id;
        }
        match u16::try_from(self.all.len()) {
            Ok(next) if self.all.len() < MOST => {
                let (id, pair) = (WordsId(next), Arc::new(pair));
                self.all.push(Arc::clone(&pair));
                self.ids.insert(pair, id);
                id
            }
            _ => WordsId::default(),
        }
    }

    /// The texts of a number.
    #[must_use]
    pub fn get(&self, id: WordsId) -> &Pair {
        self.all.get(usize::from(id.0)).unwrap_or(&self.all[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_kept_once_and_are_bounded() {
        let mut words = Words::default();
        let one = words.id("cscli", "manual 'ban'");
        assert_eq!(words.id("cscli", "manual 'ban'"), one);
        assert_eq!(words.get(one).origin, "cscli");
        for number in 0..2 * MOST {
            words.id("x", &number.to_string());
        }
        assert_eq!(words.all.len(), MOST);
        assert_eq!(words.get(words.clone().id("x", "new")).scenario, "other");
        let hostile = Words::default().id("\u{1b}[2J", &"a".repeat(10_000));
        assert!(words.get(hostile).scenario.chars().count() <= MAX_TEXT + 1);
        let mut words = Words::default();
        let id = words.id("\u{1b}[2J", "");
        assert!(!words.get(id).origin.contains('\u{1b}'));
    }
}
