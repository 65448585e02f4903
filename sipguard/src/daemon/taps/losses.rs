//! Packets that a tap asked for and did not get.

use sipguard_common::abi::{Tap, TapCounts};

/// Of one tap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Losses {
    /// Over its packets a second.
    pub(in crate::daemon) held_back: u64,
    /// Without room on their way.
    pub(in crate::daemon) lost: u64,
}

impl Losses {
    /// Those of one tap since the program was loaded.
    pub(in crate::daemon) fn of(tap: Tap, counts: &TapCounts) -> Self {
        let TapCounts { held_back, lost } = counts;
        let of = |counts: &[u64]| counts.get(tap as usize).copied().unwrap_or_default();
        Self { held_back: of(held_back), lost: of(lost) }
    }

    /// Those since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            held_back: self.held_back.saturating_sub(earlier.held_back),
            lost: self.lost.saturating_sub(earlier.lost),
        }
    }
}
