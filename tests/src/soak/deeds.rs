//! What may happen, and how often.

use crate::random::Random;

/// One of the things that happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deed {
    Block,
    Unblock,
    Allow,
    Disallow,
    Reload,
    /// Of files that have errors.
    BrokenReload,
    Posture,
    Capture,
    Stats,
    Why,
    Lists,
    Log,
    Report,
    Events,
    Dashboard,
    /// Mutated packets of the corpus.
    Frames,
    /// From made-up sources.
    Flood,
    /// A guesser of passwords, and phones that register.
    Guesses,
    /// The daemon is killed and started again.
    Kill,
    /// It is stopped and started again.
    Restart,
    /// Many SIGHUP at once.
    HangUps,
    FullDisk,
    EmptyDisk,
    /// Callers that say half of what they want, or do not read.
    Hang,
    /// The interface goes down and comes back.
    LinkDown,
}

/// Each with the number of its cards.
const CARDS: &[(Deed, usize)] = &[
    (Deed::Block, 10),
    (Deed::Unblock, 8),
    (Deed::Allow, 5),
    (Deed::Disallow, 4),
    (Deed::Reload, 8),
    (Deed::BrokenReload, 3),
    (Deed::Posture, 3),
    (Deed::Capture, 3),
    (Deed::Stats, 5),
    (Deed::Why, 5),
    (Deed::Lists, 4),
    (Deed::Log, 4),
    (Deed::Report, 2),
    (Deed::Events, 4),
    (Deed::Dashboard, 8),
    (Deed::Frames, 8),
    (Deed::Flood, 3),
    (Deed::Guesses, 5),
    (Deed::Kill, 1),
    (Deed::Restart, 1),
    (Deed::HangUps, 1),
    (Deed::FullDisk, 1),
    (Deed::EmptyDisk, 2),
    (Deed::Hang, 2),
    (Deed::LinkDown, 1),
];

/// All cards, in an order of chance, again and again.
#[derive(Debug, Default)]
pub(super) struct Deck(Vec<Deed>);

impl Deck {
    pub(super) fn draw(&mut self, random: &mut Random) -> Deed {
        if self.0.is_empty() {
            self.0 =
                CARDS.iter().flat_map(|(deed, count)| std::iter::repeat_n(*deed, *count)).collect();
            // Fisher and Yates.
            for last in (1..self.0.len()).rev() {
                let other = random.below(last + 1);
                self.0.swap(last, other);
            }
        }
        self.0.pop().unwrap_or(Deed::Stats)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_deck_has_every_card_and_the_seed_its_order() {
        let draw = |seed| {
            let (mut deck, mut random) = (Deck::default(), Random::new(seed));
            let cards = CARDS.iter().map(|(_, count)| count).sum();
            (0..cards).map(|_| deck.draw(&mut random)).collect::<Vec<_>>()
        };
        let all: BTreeSet<Deed> = draw(1).into_iter().collect();
        assert_eq!(all.len(), CARDS.len());
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
