//! What became of each kernel, for a person and for the totals.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Error, Result};

use super::{
    expectation::{Check, Expectation, Expected},
    plan::Step,
    report::Report,
};
use crate::verbs::test::libtest::Totals;

/// Lines of a failed command that a person gets to see, from its end.
const LAST_LINES: usize = 40;

/// What a virtual machine has come to.
pub(super) struct Outcome {
    pub(super) linux: String,
    pub(super) took: Duration,
    pub(super) report: Report,
}

/// One kernel's line.
pub(super) struct Row {
    name: &'static str,
    linux: String,
    took: Option<Duration>,
    /// What was expected, and whether it came so, by check.
    cells: Vec<(Expected, bool)>,
    notes: String,
}

impl Row {
    pub(super) fn new(
        expectation: &'static Expectation,
        steps: &[Step],
        outcome: Result<Outcome>,
    ) -> Self {
        let mut row = Self {
            name: expectation.name,
            linux: String::new(),
            took: None,
            cells: Vec::new(),
            notes: String::new(),
        };
        let faulty = match outcome {
            Ok(outcome) => {
                let faulty = row.judge(steps, &outcome);
                row.linux = outcome.linux;
                row.took = Some(outcome.took);
                faulty
            }
            Err(error) => row.lament(&error, expectation),
        };
        row.cells =
            Check::ALL.map(|check| (expectation.of(check), !faulty.contains(&check))).to_vec();
        row
    }

    /// The checks that failed, after a note of why.
    fn judge(&mut self, steps: &[Step], outcome: &Outcome) -> Vec<Check> {
        let mut faulty = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let took = outcome.report.took(number).unwrap_or_default();
            let fault = outcome.report.fault(number, step);
            let state = fault.as_deref().unwrap_or("as expected");
            self.note(&format!("{:5.1} s `{}` {state}", took.as_secs_f32(), step.command()));
            if fault.is_none() {
                continue;
            }
            faulty.push(step.check);
            let output = outcome.report.output(number);
            for line in output.iter().skip(output.len().saturating_sub(LAST_LINES)) {
                // A String takes every write.
                let _ = writeln!(self.notes, "    {line}");
            }
        }
        faulty
    }

    fn lament(&mut self, error: &Error, expectation: &Expectation) -> Vec<Check> {
        self.note(&format!("{error:#}"));
        expectation.checks().collect()
    }

    fn note(&mut self, what: &str) {
        let _ = writeln!(self.notes, "kernel {}: {what}", self.name);
    }

    /// What each command took, and why checks failed.
    pub(super) fn notes(&self) -> &str {
        &self.notes
    }

    /// Each check counts as one test.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (expected, good) in &self.cells {
            match (expected, good) {
                (Expected::Nothing, _) => {}
                (_, true) => totals.passed += 1,
                (_, false) => totals.failed += 1,
            }
        }
        totals
    }

    fn cell((expected, good): (Expected, bool)) -> &'static str {
        match (expected, good) {
            (Expected::Nothing, _) => "-",
            (_, false) => "FAILED",
            (Expected::Works, true) => "works",
            (Expected::Refused, true) => "refused",
        }
    }
}

/// All rows under a line of titles.
pub(super) fn text(rows: &[Row]) -> String {
    let mut text = format!("{:<8} {:<10}", "KERNEL", "LINUX");
    for check in Check::ALL {
        let _ = write!(text, " {:<8}", check.title());
    }
    text.push_str(" TIME\n");
    for row in rows {
        let _ = write!(text, "{:<8} {:<10}", row.name, row.linux);
        for cell in &row.cells {
            let _ = write!(text, " {:<8}", Row::cell(*cell));
        }
        match row.took {
            Some(took) => {
                let _ = writeln!(text, " {} s", took.as_secs());
            }
            None => text.push_str(" -\n"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::anyhow;

    use super::{Outcome, Row, text};
    use crate::verbs::{
        kernels::{
            expectation::{Check, find},
            plan::{Step, Wanted},
            report::Report,
        },
        test::libtest::Totals,
    };

    fn row(printed: &str) -> Row {
        let expectation = find("6.1").expect("a kernel");
        let steps: Vec<Step> = [Check::Load, Check::Corpus, Check::Corpus, Check::Native]
            .map(|check| Step { check, wanted: Wanted::Success, words: vec!["x".to_owned()] })
            .into();
        let report = Report::read(printed);
        let outcome = Outcome { linux: "6.1.9".to_owned(), took: Duration::from_secs(7), report };
        Row::new(expectation, &steps, Ok(outcome))
    }

    #[test]
    fn one_bad_command_spoils_its_check_only() {
        let row =
            row("BEGIN 0\nRESULT 0 1 0\nBEGIN 1\nwhy\nRESULT 1 1 101\nBEGIN 2\nRESULT 2 1 0\n\
                       BEGIN 3\nRESULT 3 1 0\nDONE\n");
        assert_eq!(row.totals(), Totals { passed: 5, failed: 1, skipped: 0 });
        assert!(row.notes().contains("6.1:   0.0 s `x` ended with 101\n    why\n"));
        let line =
            "6.1      6.1.9      works    FAILED   works    works    works    works    7 s\n";
        assert!(text(&[row]).ends_with(line));
    }

    #[test]
    fn a_kernel_that_panics_fails_what_is_left() {
        let row = row("BEGIN 0\nRESULT 0 1 0\nBEGIN 1\n");
        assert_eq!(row.totals(), Totals { passed: 4, failed: 2, skipped: 0 });
    }

    #[test]
    fn a_kernel_that_cannot_be_had_fails() {
        let all = Row::new(find("6.1").expect("a kernel"), &[], Err(anyhow!("no mirror")));
        assert_eq!(all.totals(), Totals { passed: 0, failed: 6, skipped: 0 });
        let old = Row::new(find("5.10").expect("a kernel"), &[], Err(anyhow!("no mirror")));
        assert_eq!(old.totals(), Totals { passed: 0, failed: 1, skipped: 0 });
        assert_eq!(old.notes(), "kernel 5.10: no mirror\n");
    }
}
