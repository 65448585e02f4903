//! What is measured, and how thoroughly.

use std::time::Duration;

/// How thoroughly.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often the filters take turns.
    pub rounds: u32,
    /// How long each is measured in one turn.
    pub window: Duration,
    /// Calls through the SIP server, idle and under flood each.
    pub calls: u32,
    /// Runs of the kernel program alone.
    pub runs: u32,
}

impl Effort {
    /// For numbers to publish.
    pub const FULL: Self =
        Self { rounds: 5, window: Duration::from_millis(700), calls: 400, runs: 1_000_000 };
    /// For numbers while developing.
    pub const QUICK: Self =
        Self { rounds: 1, window: Duration::from_millis(250), calls: 120, runs: 200_000 };
}

/// Which targets are asked for; all where none is named.
#[derive(Clone, Debug, Default)]
pub struct Wanted(pub Vec<String>);

impl Wanted {
    /// Whether one of these is asked for.
    #[must_use]
    pub fn any(&self, ids: &[&str]) -> bool {
        self.0.is_empty() || ids.iter().any(|id| self.0.iter().any(|wanted| wanted == id))
    }
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn without_names_all_are_wanted() {
        assert!(Wanted::default().any(&["P01"]));
        let one = Wanted(vec!["P03".to_owned()]);
        assert!(one.any(&["P01", "P03"]) && !one.any(&["P04"]));
    }
}
