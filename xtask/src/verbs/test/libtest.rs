//! Reading what libtest prints with `--show-output`.

use std::{borrow::Cow, fmt, ops::AddAssign};

/// How a test says that it cannot run here.
const SKIPPED: &str = "SKIPPED: ";

/// What became of a number of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Totals {
    pub(crate) fn count(self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    /// The same where a skip counts as a failure.
    pub(crate) fn with_skips_failed(self) -> Self {
        Self { failed: self.failed + self.skipped, skipped: 0, ..self }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Follows the output of one run.
///
/// Tests that pass show their output too, for libtest keeps what a test writes
/// and the reason of a skip is in there; everything else of it is hidden.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    results: Totals,
    ignored: u64,
    skips: u64,
    has_result: bool,
    in_successes: bool,
    /// The test whose output follows, until it is known to be skipped.
    speaker: Option<String>,
}

impl Reader {
    /// Takes a line of stdout; returns what of it a person wants to see.
    pub(crate) fn stdout<'a>(&mut self, line: &'a str) -> Option<Cow<'a, str>> {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.result(result);
            return Some(line.into());
        }
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ => {}
        }
        if !self.in_successes {
            return Some(line.into());
        }
        if let Some(test) =
            line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            self.speaker = Some(test.to_owned());
        }
        if !line.starts_with(SKIPPED) {
            return None;
        }
        // A second reason of the same test is no second skip.
        let test = self.speaker.take()?;
        self.skips += 1;
        Some(format!("{test}: {line}").into())
    }

    /// A line of stderr, which libtest does not keep.
    pub(crate) fn stderr(&mut self, line: &str) {
        if line.starts_with(SKIPPED) {
            self.skips += 1;
        }
    }

    /// The totals after the end; `succeeded` tells whether the exit code was 0.
    /// A run that ends without a result, or badly after a good one, counts as
    /// one more failure.
    pub(crate) fn finish(&self, succeeded: bool) -> Totals {
        let Totals { passed, failed, .. } = self.results;
        // libtest takes a test that skips itself for passed.
        let skipped = self.skips.min(passed);
        let crashed = !self.has_result || (!succeeded && failed == 0);
        Totals {
            passed: passed - skipped,
            failed: failed + u64::from(crashed),
            skipped: skipped + self.ignored,
        }
    }

    /// `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; …`
    fn result(&mut self, result: &str) {
        self.in_successes = false;
        self.has_result = true;
        let (_, counts) = result.split_once(". ").unwrap_or_default();
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.results.passed += number,
                "failed" => self.results.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, Totals};

    fn read(stdout: &str, succeeded: bool) -> (Totals, Vec<String>) {
        let mut reader = Reader::default();
        let shown = stdout
            .lines()
            .filter_map(|line| reader.stdout(line))
            .map(|line| line.into_owned())
            .collect();
        (reader.finish(succeeded), shown)
    }

    #[test]
    fn skipped_tests_are_not_passed() {
        let (totals, shown) = read(
            "running 3 tests\ntest a ... ok\ntest b ... ok\ntest c ... ignored\n\nsuccesses:\n\n\
             ---- a stdout ----\nnoise\nSKIPPED: no sipp\nSKIPPED: no root\n\n---- b stdout ----\n\
             table\n\nsuccesses:\n    a\n    b\n\n\
             test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s",
            true,
        );
        assert_eq!(totals, Totals { passed: 1, failed: 0, skipped: 2 });
        assert!(shown.contains(&"a: SKIPPED: no sipp".to_owned()));
        assert!(!shown.iter().any(|line| line == "noise" || line == "table"));
    }

    #[test]
    fn output_of_failed_tests_is_shown() {
        let (totals, shown) = read(
            "test a ... ok\ntest b ... FAILED\n\nsuccesses:\n\n---- a stdout ----\nnoise\n\n\
             successes:\n    a\n\nfailures:\n\n---- b stdout ----\nwhy\n\nfailures:\n    b\n\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0s",
            false,
        );
        assert_eq!(totals, Totals { passed: 1, failed: 1, skipped: 0 });
        assert!(shown.contains(&"why".to_owned()));
        assert!(!shown.contains(&"noise".to_owned()));
    }

    #[test]
    fn a_crash_is_a_failure() {
        assert_eq!(read("running 1 test\n", false).0.failed, 1);
        assert_eq!(read("running 1 test\n", true).0.failed, 1);
        let good = "test result: ok. 1 passed; 0 failed; 0 ignored";
        assert_eq!(read(good, false).0, Totals { passed: 1, failed: 1, skipped: 0 });
    }

    #[test]
    fn several_results_add_up() {
        let (totals, _) = read(
            "test result: ok. 1 passed; 0 failed; 0 ignored\ntest result: ok. 2 passed; 0 failed; 0 ignored",
            true,
        );
        assert_eq!(totals.passed, 3);
    }

    #[test]
    fn a_skip_may_go_round_libtest() {
        let mut reader = Reader::default();
        reader.stdout("test result: ok. 1 passed; 0 failed; 0 ignored");
        reader.stderr("SKIPPED: no kernel");
        let totals = reader.finish(true);
        assert_eq!(totals, Totals { passed: 0, failed: 0, skipped: 1 });
        assert_eq!(totals.with_skips_failed(), Totals { passed: 0, failed: 1, skipped: 0 });
        assert_eq!(totals.to_string(), "0 passed, 0 failed, 1 skipped");
    }
}
