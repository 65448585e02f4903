//! `sipguard check`

use std::path::PathBuf;

use serde_json::json;

use super::{
    exit::{Exit, Failure},
    out::{print, print_json, say},
};
use crate::{
    daemon::config_dir,
    policy::{self, Diagnostic, Diagnostics, Plan},
};

/// Check the configuration as `run` and `reload` would
///
/// All errors are shown at once, each with file, line and remedy.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration directory [default: /etc/sipguard if it exists, else
    /// ./config]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let dir = config_dir(args.dir.as_deref())?;
    match policy::load(&dir) {
        Ok((plan, warnings)) => good(args, &plan, &warnings),
        Err(diagnostics) => bad(args, &diagnostics),
    }
}

fn good(args: &Args, plan: &Plan, warnings: &[Diagnostic]) -> Result<(), Failure> {
    if args.json {
        return print_json(&json!({ "ok": true, "diagnostics": warnings }));
    }
    for warning in warnings {
        say(warning.to_string().trim_end());
    }
    // What they hold is known where they are read.
    let feeds = match plan.feeds.len() {
        0 => String::new(),
        feeds => format!(", {feeds} feeds"),
    };
    print(&format!(
        "no errors: {} signatures, {} trusted, {} blocked{feeds}",
        plan.signatures.len(),
        plan.trusted.len(),
        plan.blocked.len()
    ))
}

fn bad(args: &Args, diagnostics: &Diagnostics) -> Result<(), Failure> {
    if !args.json {
        return Err(Failure::configuration(diagnostics));
    }
    print_json(&json!({ "ok": false, "diagnostics": diagnostics }))?;
    Err(Failure::new(Exit::Configuration, "the configuration has errors", None))
}
