//! Reading what a virtual machine has printed.

use std::{borrow::Cow, time::Duration};

use super::plan::{Step, Wanted};
use crate::verbs::test::libtest::Reader;

/// What a virtual machine has printed, by command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    commands: Vec<Command>,
    /// Whether it came to its own end.
    done: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Command {
    number: usize,
    output: Vec<String>,
    /// How it ended, an exit code or words, and after what time.
    end: Option<(String, Duration)>,
}

impl Report {
    pub(super) fn read(printed: &str) -> Self {
        let mut report = Self::default();
        for line in printed.lines().map(str::trim_end) {
            if let Some(number) = line.strip_prefix("BEGIN ").and_then(|text| text.parse().ok()) {
                report.commands.push(Command { number, ..Command::default() });
                continue;
            }
            report.done |= line == "DONE";
            let Some(command) = report.commands.last_mut() else { continue };
            match result(line) {
                Some((number, end)) if number == command.number => command.end = Some(end),
                _ if command.end.is_none() => command.output.push(line.to_owned()),
                _ => {}
            }
        }
        report
    }

    /// Whether every command was come to.
    pub(super) fn is_whole(&self) -> bool {
        self.done
    }

    /// The lines that a command has printed.
    pub(super) fn output(&self, number: usize) -> &[String] {
        self.command(number).map_or(&[], |command| &command.output)
    }

    pub(super) fn took(&self, number: usize) -> Option<Duration> {
        self.command(number)?.end.as_ref().map(|(_, took)| *took)
    }

    /// Why the command of this number has not ended as it should have, if so.
    pub(super) fn fault(&self, number: usize, step: &Step) -> Option<String> {
        let Some(command) = self.command(number) else { return Some("was not run".to_owned()) };
        let Some((end, _)) = &command.end else { return Some("has not ended".to_owned()) };
        let ended = || format!("ended with {end}");
        match step.wanted {
            Wanted::Success => (end != "0").then(ended),
            Wanted::Failure(words) => match end.as_str() {
                "1" if command.output.iter().any(|line| line.contains(words)) => None,
                "1" => Some(format!("did not say: {words}")),
                _ => Some(ended()),
            },
            Wanted::Tests => {
                let mut reader = Reader::default();
                for line in &command.output {
                    // Both streams come as one; a line that is no test's own
                    // output may be of either.
                    if let Some(Cow::Borrowed(line)) = reader.stdout(line) {
                        reader.stderr(line);
                    }
                }
                let totals = reader.finish(end == "0");
                let all_passed = totals.passed > 0 && totals.passed == totals.count();
                (!all_passed).then(|| totals.to_string())
            }
        }
    }

    fn command(&self, number: usize) -> Option<&Command> {
        self.commands.iter().find(|command| command.number == number)
    }
}

/// `RESULT number milliseconds end`
fn result(line: &str) -> Option<(usize, (String, Duration))> {
    let mut words = line.strip_prefix("RESULT ")?.splitn(3, ' ');
    let number = words.next()?.parse().ok()?;
    let took = Duration::from_millis(words.next()?.parse().ok()?);
    Some((number, (words.next()?.to_owned(), took)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Report;
    use crate::verbs::kernels::{
        expectation::Check,
        plan::{Step, Wanted},
    };

    fn fault(printed: &str, wanted: Wanted) -> Option<String> {
        Report::read(printed).fault(0, &Step { check: Check::Load, wanted, words: Vec::new() })
    }

    const PASSED: &str = "test result: ok. 2 passed; 0 failed; 0 ignored\r\n\r\nRESULT 0 7 0\r\n";

    #[test]
    fn commands_are_told_apart() {
        let report = Report::read(
            "BEGIN 0\r\na\r\n\r\nRESULT 0 1500 0\r\nBEGIN 1\r\nb\r\nRESULT 1 2 signal: 9\r\nDONE\r\n",
        );
        assert!(report.is_whole());
        assert_eq!(report.output(0), ["a", ""]);
        assert_eq!(report.output(1), ["b"]);
        assert_eq!(report.took(0), Some(Duration::from_millis(1500)));
        assert!(report.output(2).is_empty() && report.took(2).is_none());
    }

    #[test]
    fn a_machine_that_stops_short_has_failed() {
        assert_eq!(fault("", Wanted::Success).as_deref(), Some("was not run"));
        assert_eq!(fault("BEGIN 0\r\n", Wanted::Success).as_deref(), Some("has not ended"));
        assert_eq!(fault("BEGIN 0\r\nRESULT 0 1 0\r\n", Wanted::Success), None);
        assert!(!Report::read("BEGIN 0\r\nRESULT 0 1 0\r\n").is_whole());
    }

    #[test]
    fn tests_must_be_there_and_pass() {
        assert_eq!(fault(&format!("BEGIN 0\r\n{PASSED}"), Wanted::Tests), None);
        let none = "BEGIN 0\r\ntest result: ok. 0 passed; 0 failed; 0 ignored\r\nRESULT 0 1 0\r\n";
        assert!(fault(none, Wanted::Tests).is_some());
        assert!(fault("BEGIN 0\r\nRESULT 0 1 0\r\n", Wanted::Tests).is_some());
        let crash = format!("BEGIN 0\r\n{}", PASSED.replace("7 0", "7 101"));
        assert!(fault(&crash, Wanted::Tests).is_some());
    }

    #[test]
    fn a_skip_is_a_failure() {
        let skip = |line: &str| fault(&format!("BEGIN 0\r\n{line}\r\n{PASSED}"), Wanted::Tests);
        assert_eq!(skip("SKIPPED: no ip").as_deref(), Some("1 passed, 0 failed, 1 skipped"));
        let shown =
            "successes:\r\n\r\n---- a stdout ----\r\nSKIPPED: no ip\r\n\r\nsuccesses:\r\n    a\r\n";
        assert_eq!(skip(shown).as_deref(), Some("1 passed, 0 failed, 1 skipped"));
    }

    #[test]
    fn a_refusal_has_its_code_and_words() {
        let refusal = |printed: &str| fault(printed, Wanted::Failure("too old"));
        assert_eq!(refusal("BEGIN 0\r\nerror: too old\r\nRESULT 0 1 1\r\n"), None);
        assert!(refusal("BEGIN 0\r\nerror: other\r\nRESULT 0 1 1\r\n").is_some());
        assert!(refusal("BEGIN 0\r\nerror: too old\r\nRESULT 0 1 0\r\n").is_some());
    }
}
