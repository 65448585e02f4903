//! What a flood causes, held to so many in a minute.

use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// Lets so many through in a minute, and counts the others.
#[derive(Debug)]
pub(in crate::daemon) struct Minute {
    most: u32,
    since: Instant,
    let_through: u32,
    held_back: u32,
}

impl Minute {
    pub(in crate::daemon) fn of(most: u32) -> Self {
        Self { most, since: Instant::now(), let_through: 0, held_back: 0 }
    }

    /// Whether this one may pass.
    pub(in crate::daemon) fn admits(&mut self) -> bool {
        let admits = self.let_through < self.most;
        match admits {
            true => self.let_through += 1,
            false => self.held_back = self.held_back.saturating_add(1),
        }
        admits
    }

    #[cfg(test)]
    pub(in crate::daemon) fn let_through(&self) -> u32 {
        self.let_through
    }

    /// How many were held back, once a minute, where there were any.
    pub(in crate::daemon) fn turn(&mut self, now: Instant) -> Option<u32> {
        if now.saturating_duration_since(self.since) < MINUTE {
            return None;
        }
        let held_back = self.held_back;
        *self = Self { since: now, ..Self::of(self.most) };
        (held_back > 0).then_some(held_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pass_and_the_rest_is_counted() {
        let mut minute = Minute::of(3);
        let passed = (0..10).filter(|_| minute.admits()).count();
        assert_eq!(passed, 3);
        assert_eq!(minute.turn(Instant::now()), None);
        let later = Instant::now() + MINUTE;
        assert_eq!(minute.turn(later), Some(7));
        assert!(minute.admits());
        assert_eq!(minute.turn(later + MINUTE), None);
    }
}
