//! A sum over the last while.

use std::{collections::VecDeque, time::Duration};

/// Parts of a window at most: so exact its beginning is, and so much room it
/// takes.
const PARTS: u32 = 60;

/// What was added within the last while.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    parts: VecDeque<(Duration, f64)>,
}

impl Window {
    pub(super) fn add(&mut self, at: Duration, value: f64, length: Duration) {
        match self.parts.back_mut() {
            Some((since, sum)) if at < *since + length / PARTS => *sum += value,
            _ => self.parts.push_back((at, value)),
        }
    }

    /// Forgets what is older, and sums up the rest.
    pub(super) fn sum(&mut self, at: Duration, length: Duration) -> f64 {
        while self.parts.front().is_some_and(|(since, _)| *since + length <= at) {
            self.parts.pop_front();
        }
        self.parts.iter().map(|(_, value)| value).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The moment of the last one.
    pub(super) fn last(&self) -> Option<Duration> {
        self.parts.back().map(|(since, _)| *since)
    }

    /// How many parts of it hold anything.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_does_not_count_and_room_is_bounded() {
        let (mut window, minute) = (Window::default(), Duration::from_secs(60));
        for second in 1..=100 {
            window.add(Duration::from_secs(second), 2.0, minute);
        }
        assert!((window.sum(Duration::from_secs(100), minute) - 120.0).abs() < 1e-9);
        assert!((window.sum(Duration::from_secs(159), minute) - 2.0).abs() < 1e-9);
        assert!(window.sum(Duration::from_secs(160), minute).abs() < 1e-9);
        assert!(window.is_empty());
        let day = Duration::from_secs(86_400);
        (0..86_400).for_each(|second| window.add(Duration::from_secs(second), 1.0, day));
        assert!(window.len() <= 60, "{}", window.len());
        assert!((window.sum(Duration::from_secs(86_399), day) - 86_400.0).abs() < 1e-9);
    }
}
