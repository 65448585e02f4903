//! Why a capture has ended by itself.

/// What was reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its time is over.
    Duration,
    /// It has as many packets as were asked for.
    Count,
    /// Nothing more fits into its size.
    Size,
    /// sipguard stops.
    Stopped,
}

impl End {
    const ALL: [Self; 4] = [Self::Duration, Self::Count, Self::Size, Self::Stopped];

    /// The word in the comment of the last statistics of a capture.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::Count => "count",
            Self::Size => "max-size",
            Self::Stopped => "stopped",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.name() == name)
    }
}
