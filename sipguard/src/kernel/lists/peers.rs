//! Which bucket counts the calls of which peer.

use std::collections::HashMap;

/// The numbers of the peers that have a class. A peer keeps its number, and so
/// its bucket, for as long as it is in the plan.
#[derive(Debug, Default)]
pub(super) struct Peers {
    numbers: HashMap<String, u32>,
    /// Numbers below the highest one that nobody has.
    free: Vec<u32>,
}

impl Peers {
    /// Gives a number to a peer that has none.
    pub(super) fn admit(&mut self, name: &str) {
        if self.numbers.contains_key(name) {
            return;
        }
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let number = self.free.pop().unwrap_or(next);
        self.numbers.insert(name.to_owned(), number);
    }

    /// Takes the numbers of all others back.
    pub(super) fn retain(&mut self, stays: impl Fn(&str) -> bool) {
        let Self { numbers, free } = self;
        numbers.retain(|name, number| {
            let stays = stays(name);
            if !stays {
                free.push(*number);
            }
            stays
        });
    }

    /// The number of a peer that has one.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_while_its_peer_does_and_is_given_again() {
        let mut peers = Peers::default();
        ["a", "b", "c", "a"].into_iter().for_each(|name| peers.admit(name));
        let of = |peers: &Peers| ["a", "b", "c", "d"].map(|name| peers.number(name));
        assert_eq!(of(&peers), [Some(0), Some(1), Some(2), None]);
        peers.retain(|name| name != "b");
        peers.admit("d");
        assert_eq!(of(&peers), [Some(0), None, Some(2), Some(1)]);
        peers.admit("b");
        assert_eq!(peers.number("b"), Some(3));
    }
}
