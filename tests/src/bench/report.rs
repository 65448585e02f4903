//! What was measured, as a table for persons, as JSON, and as a page of the
//! documentation.

use std::fmt::Write as _;

use comfy_table::{Table, presets};
use jiff::{Unit, Zoned};
use serde_json::{Value, json};

use super::machine::Machine;

/// A number that a target is set for.
#[derive(Clone, Debug)]
pub struct Finding {
    /// P01 to P14.
    pub id: &'static str,
    /// What was measured.
    pub what: String,
    pub measured: f64,
    pub target: Target,
    pub shown: Shown,
}

/// What a number must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// Stated, not judged.
    None,
}

/// How a number is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Times,
    Nanoseconds,
    Share,
    Seconds,
    Milliseconds,
    MegaBytes,
    Count,
}

impl Shown {
    fn show(self, number: f64) -> String {
        match self {
            Self::Times => format!("{number:.2}x"),
            Self::Nanoseconds => format!("{number:.0} ns"),
            Self::Share => format!("{:.1} %", number * 100.0),
            Self::Seconds => format!("{number:.2} s"),
            Self::Milliseconds => format!("{number:.2} ms"),
            Self::MegaBytes => format!("{:.1} MB", number / 1e6),
            Self::Count => format!("{number:.0}"),
        }
    }
}

impl Finding {
    /// Whether the target is reached, where there is one.
    #[must_use]
    pub fn reached(&self) -> Option<bool> {
        match self.target {
            Target::AtMost(limit) => Some(self.measured <= limit),
            Target::AtLeast(limit) => Some(self.measured >= limit),
            Target::None => None,
        }
    }

    fn target_text(&self) -> String {
        match self.target {
            Target::AtMost(limit) => format!("at most {}", self.shown.show(limit)),
            Target::AtLeast(limit) => format!("at least {}", self.shown.show(limit)),
            Target::None => "stated".to_owned(),
        }
    }

    const fn verdict(reached: Option<bool>) -> &'static str {
        match reached {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        }
    }

    fn cells(&self) -> [String; 5] {
        [
            self.id.to_owned(),
            self.what.clone(),
            self.shown.show(self.measured),
            self.target_text(),
            Self::verdict(self.reached()).to_owned(),
        ]
    }
}

/// A table that goes with the findings.
#[derive(Clone, Debug)]
pub struct Section {
    pub title: String,
    /// What a reader must know of it.
    pub note: String,
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Report {
    pub machine: Machine,
    pub at: Zoned,
    /// How it was started.
    pub command: String,
    pub rounds: u32,
    pub findings: Vec<Finding>,
    pub sections: Vec<Section>,
    /// What was left out and why, and what else a reader must know.
    pub notes: Vec<String>,
    /// Every single number.
    pub raw: Value,
}

const HEAD: [&str; 5] = ["Id", "What", "Measured", "Target", "Reached"];

impl Report {
    /// For the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            let table = table(&section.head, &section.rows);
            let _ = writeln!(text, "{}. {}\n{table}\n", section.title, section.note);
        }
        let rows: Vec<_> = self.findings.iter().map(|finding| finding.cells().to_vec()).collect();
        let _ = writeln!(text, "{}", table(&HEAD.map(str::to_owned), &rows));
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let findings: Vec<Value> = self
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "id": finding.id,
                    "what": finding.what,
                    "measured": finding.measured,
                    "shown": finding.shown.show(finding.measured),
                    "target": finding.target_text(),
                    "reached": finding.reached(),
                })
            })
            .collect();
        json!({
            "machine": {
                "cpu": self.machine.cpu,
                "cores": self.machine.cores,
                "kernel": self.machine.kernel,
            },
            "at": self.at.timestamp().to_string(),
            "command": self.command,
            "rounds": self.rounds,
            "findings": findings,
            "notes": self.notes,
            "raw": self.raw,
        })
    }

    /// For docs/benchmarks.md.
    #[must_use]
    pub fn markdown(&self) -> String {
        let Machine { cpu, cores, kernel } = &self.machine;
        let mut text = format!(
            "# Benchmarks\n\n\
             Written by `{}` on {}, on {cpu} with {cores} cores and Linux {kernel}. Do not edit:\n\
             measure again. Absolute numbers differ from machine to machine; ratios hold.\n\n\
             Two network namespaces with a wire between them. The generator sends on CPU 0, the\n\
             server receives on CPU 1 by a thread of its own. The cost of a packet is the run time\n\
             of that thread over the packets that it has received, at saturation. Filters take\n\
             turns in each of {} rounds; ratios are medians of the ratios of the rounds. sipguard\n\
             has 500 signatures, 100,000 blocked networks and 1,000 trusted prefixes, and all\n\
             limits are on.\n\n## Targets\n\n",
            self.command,
            self.at.strftime("%Y-%m-%d"),
            self.rounds,
        );
        let rows: Vec<_> = self.findings.iter().map(|finding| finding.cells().to_vec()).collect();
        text += &markdown_table(&HEAD.map(str::to_owned), &rows);
        for section in &self.sections {
            let _ = write!(text, "\n## {}\n\n{}\n\n", section.title, wrapped(&section.note));
            text += &markdown_table(&section.head, &section.rows);
        }
        if !self.notes.is_empty() {
            text += "\n## Notes\n\n";
            for note in &self.notes {
                let _ = writeln!(text, "- {note}");
            }
        }
        text
    }
}

/// Now, to the second.
#[must_use]
pub fn now() -> Zoned {
    let now = Zoned::now();
    now.round(Unit::Second).unwrap_or(now)
}

fn table(head: &[String], rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(head);
    for row in rows {
        table.add_row(row);
    }
    table
}

fn markdown_table(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = "|---".repeat(head.len());
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{}{rule}|\n{rows}", line(head))
}

/// In lines of at most 80 characters, where words allow it.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= 80 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(measured: f64, target: Target) -> Finding {
        Finding { id: "P01", what: "blocked".to_owned(), measured, target, shown: Shown::Times }
    }

    fn report() -> Report {
        Report {
            machine: Machine { cpu: "a CPU".to_owned(), cores: 2, kernel: "6.1.0".to_owned() },
            at: "2026-11-21T04:02:02+00:00[UTC]".parse().expect("a time"),
            command: "cargo xtask bench".to_owned(),
            rounds: 5,
            findings: vec![
                finding(1.25, Target::AtMost(1.5)),
                finding(1.25, Target::AtLeast(4.0)),
                finding(1.25, Target::None),
            ],
            sections: vec![Section {
                title: "Costs".to_owned(),
                note: "Nanoseconds.".to_owned(),
                head: vec!["Filter".to_owned(), "OPTIONS".to_owned()],
                rows: vec![vec!["none".to_owned(), "1123".to_owned()]],
            }],
            notes: vec!["left out: xdp-filter: it is not here".to_owned()],
            raw: json!({"costs": []}),
        }
    }

    #[test]
    fn targets_are_reached_or_not() {
        let reached = |measured, target| finding(measured, target).reached();
        assert_eq!(reached(1.5, Target::AtMost(1.5)), Some(true));
        assert_eq!(reached(1.6, Target::AtMost(1.5)), Some(false));
        assert_eq!(reached(6.0, Target::AtLeast(6.0)), Some(true));
        assert_eq!(reached(5.9, Target::AtLeast(6.0)), Some(false));
        assert_eq!(reached(9.9, Target::None), None);
        // What could not be divided is not reached.
        assert_eq!(reached(f64::NAN, Target::AtMost(1.0)), Some(false));
    }

    #[test]
    fn the_table_says_what_is_reached() {
        let text = report().text();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("P01")).collect();
        assert!(lines[0].contains("1.25x") && lines[0].contains("at most 1.50x"), "{text}");
        assert!(lines[0].contains("yes") && lines[1].contains("NO"), "{text}");
        assert!(lines[2].contains("stated") && !lines[2].contains("yes"), "{text}");
        assert!(text.contains("left out: xdp-filter"), "{text}");
        assert!(text.contains("1123"), "{text}");
    }

    #[test]
    fn json_has_every_finding() {
        let json = report().json();
        assert_eq!(json["findings"][0]["reached"], true);
        assert_eq!(json["findings"][1]["reached"], false);
        assert_eq!(json["findings"][2]["reached"], Value::Null);
        assert_eq!(json["findings"][0]["measured"], 1.25);
        assert_eq!(json["machine"]["kernel"], "6.1.0");
        assert_eq!(json["at"], "2026-11-21T04:02:02Z");
    }

    #[test]
    fn the_page_names_machine_date_and_command() {
        let page = report().markdown();
        for part in ["a CPU with 2 cores", "Linux 6.1.0", "2026-11-21", "`cargo xtask bench`"] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(page.contains("| P01 | blocked | 1.25x | at most 1.50x | yes |\n"), "{page}");
        assert!(page.contains("| Filter | OPTIONS |\n|---|---|\n| none | 1123 |\n"), "{page}");
    }
}
