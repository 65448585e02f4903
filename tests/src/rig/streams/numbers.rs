//! Which numbers of a stream have arrived, in the room of its gaps.

use std::{collections::BTreeMap, ops::RangeInclusive};

/// The numbers from 1 on that have arrived.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// The highest one.
    last: u64,
    first: Option<u64>,
    /// Ranges below it that have not, by their first number.
    gaps: BTreeMap<u64, u64>,
    arrived: u64,
    late: u64,
    again: u64,
}

impl Numbers {
    pub(super) fn note(&mut self, number: u64) {
        if number > self.last {
            if number > self.last + 1 {
                self.gaps.insert(self.last + 1, number - 1);
            }
            self.last = number;
            self.first.get_or_insert(number);
            self.arrived += 1;
            return;
        }
        let gap = self.gaps.range(..=number).next_back().map(|(from, to)| (*from, *to));
        let Some((from, to)) = gap.filter(|(_, to)| number <= *to) else {
            self.again += 1;
            return;
        };
        self.gaps.remove(&from);
        if from < number {
            self.gaps.insert(from, number - 1);
        }
        if number < to {
            self.gaps.insert(number + 1, to);
        }
        self.arrived += 1;
        self.late += 1;
    }

    /// How many have arrived, each counted once.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// How many came behind a higher one.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// How many had come before.
    #[must_use]
    pub fn again(&self) -> u64 {
        self.again
    }

    /// The one that came first.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// The highest one, 0 before any.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Those up to `sent` that have not arrived.
    pub fn missing(&self, sent: u64) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        let gaps = self.gaps.iter().map(|(from, to)| *from..=*to);
        gaps.chain((self.last < sent).then_some(self.last + 1..=sent))
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    fn of(numbers: &[u64]) -> Numbers {
        let mut of = Numbers::default();
        numbers.iter().for_each(|number| of.note(*number));
        of
    }

    #[test]
    fn gaps_are_named_and_filled() {
        let numbers = of(&[1, 2, 5, 9]);
        assert_eq!(numbers.missing(10).collect::<Vec<_>>(), [3..=4, 6..=8, 10..=10]);
        let numbers = of(&[1, 2, 5, 9, 7, 3, 4]);
        assert_eq!(numbers.missing(9).collect::<Vec<_>>(), [6..=6, 8..=8]);
        assert_eq!((numbers.arrived(), numbers.late(), numbers.again()), (7, 3, 0));
        assert_eq!(of(&[3, 1, 2]).missing(3).count(), 0);
        assert_eq!((of(&[3, 1]).first(), of(&[3, 1]).last()), (Some(3), 3));
    }

    #[test]
    fn what_comes_twice_is_told() {
        let numbers = of(&[1, 1, 3, 3, 2, 2]);
        assert_eq!((numbers.arrived(), numbers.again()), (3, 3));
    }
}
