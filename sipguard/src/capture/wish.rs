//! What somebody wants to have captured, and how much of it.

use ipnet::IpNet;
use sipguard_common::{
    abi::SNAPLEN_MAX,
    rule::{Rule, Verdict},
};

use crate::{kernel::TapWish, ttl::Ttl};

/// Bytes of a capture, unless said otherwise.
pub const SIZE: u64 = 100 << 20;

/// Bytes that a capture has room for at least.
pub const MIN_SIZE: u64 = 64 << 10;

/// How long it goes on, unless said otherwise.
pub const DURATION: Ttl = Ttl::FIVE_MINUTES;

/// How long it goes on at most.
pub const MAX_DURATION: Ttl = Ttl::WEEK;

/// Packets a second, unless said otherwise.
pub const PER_SECOND: u32 = 5_000;

/// Packets a second at most.
pub const MAX_PER_SECOND: u32 = 100_000;

/// Bytes of a packet at least: the headers.
pub const MIN_SNAPLEN: u32 = 64;

/// Which packets, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// With none, all.
    pub rules: Vec<Rule>,
    pub source: Option<IpNet>,
    /// Those that passed, too. So it is where a rule is named that passes.
    pub all: bool,
    /// Bytes of each packet at most.
    pub snaplen: u32,
    /// Packets a second at most.
    pub per_second: u32,
    /// Bytes of the capture at most; `None` where the caller looks after it.
    pub max_size: Option<u64>,
    pub duration: Ttl,
    /// Packets at most.
    pub count: Option<u64>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            source: None,
            all: false,
            snaplen: SNAPLEN_MAX,
            per_second: PER_SECOND,
            max_size: Some(SIZE),
            duration: DURATION,
            count: None,
        }
    }
}

/// What is wrong with a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    #[error("a packet's part has {MIN_SNAPLEN} to {SNAPLEN_MAX} bytes")]
    Snaplen,
    #[error("a capture has 1 to {MAX_PER_SECOND} packets a second")]
    PerSecond,
    #[error("a capture needs room for {MIN_SIZE} bytes")]
    Size,
    #[error("a capture lasts at most {MAX_DURATION}")]
    Duration,
    #[error("a capture of no packet")]
    Count,
    #[error("no packet is counted under rule {}: it looks at what the server sends", .0.name())]
    Rule(Rule),
}

impl Wish {
    /// Whether it can be done.
    ///
    /// # Errors
    /// A number is out of its range.
    pub fn check(&self) -> Result<(), WishError> {
        if let Some(rule) = self.rules.iter().find(|rule| rule.is_egress()) {
            return Err(WishError::Rule(*rule));
        }
        let wrong = [
            (!(MIN_SNAPLEN..=SNAPLEN_MAX).contains(&self.snaplen), WishError::Snaplen),
            (!(1..=MAX_PER_SECOND).contains(&self.per_second), WishError::PerSecond),
            (self.max_size.is_some_and(|size| size < MIN_SIZE), WishError::Size),
            (self.duration > MAX_DURATION, WishError::Duration),
            (self.count == Some(0), WishError::Count),
        ];
        let wrong = wrong.into_iter().find_map(|(is_wrong, what)| is_wrong.then_some(what));
        wrong.map_or(Ok(()), Err)
    }

    /// What the kernel program is asked for.
    #[must_use]
    pub fn tap(&self) -> TapWish {
        let passes = |rule: &Rule| rule.verdict() == Verdict::Pass;
        TapWish {
            rules: match self.rules.is_empty() {
                false => self.rules.clone(),
                // What is not for a protected port is somebody else's, unless
                // it is asked for.
                true => Rule::ALL.iter().copied().filter(|rule| *rule != Rule::NotSip).collect(),
            },
            source: self.source,
            all: self.all || self.rules.iter().any(passes),
            snaplen: self.snaplen,
            per_second: Some(self.per_second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish::default()
    }

    #[test]
    fn drops_are_what_is_captured_unless_more_is_asked_for() {
        let tap = wish().tap();
        assert!(!tap.all && !tap.rules.contains(&Rule::NotSip) && tap.source.is_none());
        assert!(tap.rules.contains(&Rule::Options) && tap.rules.contains(&Rule::Stranger));
        assert_eq!((tap.snaplen, tap.per_second), (SNAPLEN_MAX, Some(5_000)));
        assert!(Wish { all: true, ..wish() }.tap().all);
        let rules = vec![Rule::Options, Rule::Banned];
        let tap = Wish { rules: rules.clone(), ..wish() }.tap();
        assert!(!tap.all && tap.rules == rules);
        let tap = Wish { rules: vec![Rule::NotSip], ..wish() }.tap();
        assert!(tap.all && tap.rules == [Rule::NotSip]);
    }

    #[test]
    fn numbers_have_their_ranges() {
        assert_eq!(wish().check(), Ok(()));
        for (wrong, error) in [
            (Wish { snaplen: 63, ..wish() }, WishError::Snaplen),
            (Wish { snaplen: SNAPLEN_MAX + 1, ..wish() }, WishError::Snaplen),
            (Wish { per_second: 0, ..wish() }, WishError::PerSecond),
            (Wish { max_size: Some(MIN_SIZE - 1), ..wish() }, WishError::Size),
            (Wish { duration: "8d".parse().unwrap(), ..wish() }, WishError::Duration),
            (Wish { count: Some(0), ..wish() }, WishError::Count),
            (Wish { rules: vec![Rule::Auth], ..wish() }, WishError::Rule(Rule::Auth)),
        ] {
            assert_eq!(wrong.check(), Err(error));
        }
        assert_eq!(Wish { max_size: None, ..wish() }.check(), Ok(()));
    }
}
