//! What became of one fuzzer, by what it has written.

use std::{fmt::Write as _, path::Path};

use anyhow::Result;

use crate::verbs::test::libtest::Totals;

/// Lines of a fuzzer that found something, from its end.
const LAST_LINES: usize = 60;

/// How a target says that it cannot run here.
const SKIPPED: &str = "SKIPPED: ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Nothing,
    Finding,
    Skipped,
}

/// One target's line.
#[derive(Debug)]
pub(super) struct Outcome {
    name: String,
    end: End,
    /// Inputs that were run.
    runs: u64,
    /// Branches that were reached, as libFuzzer counts them.
    reached: u64,
    notes: String,
}

impl Outcome {
    /// Reads the log of a fuzzer that has ended well or not.
    pub(super) fn read(name: &str, ran: Result<bool>, log: &str, path: &Path) -> Self {
        let skipped = log.lines().find(|line| line.starts_with(SKIPPED));
        let mut notes = String::new();
        // A String takes every write.
        let end = match (ran, skipped) {
            (Ok(_), Some(reason)) => {
                let _ = writeln!(notes, "{name}: {reason}");
                End::Skipped
            }
            (Ok(true), None) => End::Nothing,
            (Ok(false), None) => {
                let lines: Vec<&str> = log.lines().collect();
                for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
                    let _ = writeln!(notes, "    {line}");
                }
                let _ = writeln!(
                    notes,
                    "fuzz: {name} has found something, see {}. Once it is mended, keep the input as \
                     fuzz/seeds/{name}/NAME: the tests replay it from then on",
                    path.display()
                );
                End::Finding
            }
            (Err(error), _) => {
                let _ = writeln!(notes, "fuzz: {name}: {error:#}");
                End::Finding
            }
        };
        let runs = number_behind(log, "stat::number_of_executed_units:");
        let reached = number_behind(log, " cov:");
        Self { name: name.to_owned(), end, runs, reached, notes }
    }

    pub(super) fn notes(&self) -> &str {
        &self.notes
    }

    /// A target counts as one test.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        match self.end {
            End::Nothing => totals.passed = 1,
            End::Finding => totals.failed = 1,
            End::Skipped => totals.skipped = 1,
        }
        totals
    }
}

/// The number behind the last such word; 0 where there is none.
fn number_behind(log: &str, word: &str) -> u64 {
    let found = log.rfind(word).map(|at| &log[at + word.len()..]);
    found.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// All of them under a line of titles.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!("{:<10} {:>12} {:>9}  FOUND\n", "TARGET", "INPUTS", "BRANCHES");
    for Outcome { name, end, runs, reached, .. } in outcomes {
        let found = match end {
            End::Nothing => "nothing",
            End::Finding => "FAILED",
            End::Skipped => "skipped",
        };
        let _ = writeln!(text, "{name:<10} {runs:>12} {reached:>9}  {found}");
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    const LOG: &str = "#2\tINITED cov: 100 ft: 200 corp: 1/1b exec/s: 0 rss: 80Mb\n\
        #4000\tNEW    cov: 2222 ft: 5 corp: 2/2b\n#5000\tDONE   cov: 2223 ft: 6 corp: 2/2b\n\
        Done 5000 runs in 2 second(s)\nstat::number_of_executed_units: 5000\n";

    fn read(ran: Result<bool>, log: &str) -> Outcome {
        Outcome::read("feeds", ran, log, Path::new("target/fuzz/logs/feeds.log"))
    }

    #[test]
    fn numbers_are_the_last_ones() {
        let outcome = read(Ok(true), LOG);
        assert_eq!((outcome.runs, outcome.reached), (5000, 2223));
        assert_eq!(outcome.totals(), Totals { passed: 1, ..Totals::default() });
        assert!(outcome.notes().is_empty());
        let line = "feeds              5000      2223  nothing\n";
        assert!(table(&[outcome]).ends_with(line));
    }

    #[test]
    fn a_finding_is_a_failure_that_says_where_to_look() {
        let outcome = read(Ok(false), "#2\tINITED cov: 7 ft: 1\nthread panicked: no\n");
        assert_eq!(outcome.totals(), Totals { failed: 1, ..Totals::default() });
        assert!(outcome.notes().contains("panicked"), "{}", outcome.notes());
        assert!(outcome.notes().contains("logs/feeds.log"), "{}", outcome.notes());
        let outcome = read(Err(anyhow!("no root")), "");
        assert_eq!(outcome.totals(), Totals { failed: 1, ..Totals::default() });
    }

    #[test]
    fn a_target_that_cannot_run_is_skipped() {
        let outcome = read(Ok(true), &format!("SKIPPED: no rights\n{LOG}"));
        assert_eq!(outcome.totals(), Totals { skipped: 1, ..Totals::default() });
        assert_eq!(outcome.notes(), "feeds: SKIPPED: no rights\n");
    }
}
