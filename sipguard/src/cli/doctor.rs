//! `sipguard doctor`

use std::path::PathBuf;

use serde_json::json;

use super::{
    exit::{Exit, Failure},
    out::{print, print_json},
};
use crate::{
    doctor::{Asked, Finding, Level, examine},
    sanitise::sanitise,
};

/// Characters of a line.
const MAX_LINE: usize = 400;

/// Find what keeps sipguard from protecting here, or from doing it well
///
/// Kernel, rights, memory, configuration, interfaces, clock, disk and the
/// running sipguard: each with what to do about it. Reads only.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An interface to look at; may be given several times [default: those that
    /// are protected, else those of sipguard.toml]
    #[arg(long = "iface", value_name = "NAME")]
    interfaces: Vec<String>,
    /// The configuration directory [default: /etc/sipguard if it exists, else
    /// ./config]
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, socket: Option<PathBuf>) -> Result<(), Failure> {
    let Args { interfaces, config, json } = args;
    let asked = Asked { interfaces: interfaces.clone(), config: config.clone(), socket };
    let findings = examine(&asked);
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    match json {
        true => print_json(&json!({ "worst": worst, "findings": findings }))?,
        false => print(&text(&findings))?,
    }
    match worst {
        Level::Problem => {
            let message = "a problem keeps sipguard from protecting here, or from starting";
            Err(Failure::new(Exit::Failure, message, None))
        }
        Level::Ok | Level::Note | Level::Warning => Ok(()),
    }
}

fn text(findings: &[Finding]) -> String {
    let mut lines = Vec::new();
    for finding in findings {
        let Finding { level, check, interface, found, why, remedy } = finding;
        let of = interface.as_deref().map(|name| format!("{name}: ")).unwrap_or_default();
        lines.push(line(&format!("{:<8} {check:<14} {of}{found}", level.name())));
        lines.extend(why.as_ref().map(|why| line(&format!("{:23} why: {why}", ""))));
        lines.extend(remedy.as_ref().map(|remedy| line(&format!("{:23} do:  {remedy}", ""))));
    }
    lines.push(summary(findings));
    lines.join("\n")
}

fn line(text: &str) -> String {
    sanitise(text, MAX_LINE)
}

fn summary(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let some = |(level, one, many): (Level, &str, &str)| {
        let count = count(level);
        format!("{count} {}", if count == 1 { one } else { many })
    };
    [
        (Level::Problem, "problem", "problems"),
        (Level::Warning, "warning", "warnings"),
        (Level::Note, "note", "notes"),
    ]
    .map(some)
    .join(", ")
}
