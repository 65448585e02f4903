//! The benchmarks: what sipguard costs, against what it competes with.
//!
//! Everything happens in network namespaces that nobody else is in; they and
//! all processes in them go away with this one, however it ends.

use std::{env, fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use tests::{
    bench::{
        plan::{Effort, Wanted},
        run,
    },
    rig::tool::{Tool, can_run, root},
};

const TOOLS: &[Tool] = &[
    Tool::Ethtool,
    Tool::Ip,
    Tool::Unshare,
    Tool::Kamailio,
    Tool::Sipp,
    Tool::Sipguard,
    Tool::BenchObject,
];

/// Where a full run leaves its numbers.
const PAGE: &str = "docs/benchmarks.md";

/// What `cargo xtask bench` was asked for.
#[derive(Default)]
struct Asked {
    quick: bool,
    json: Option<PathBuf>,
    wanted: Wanted,
}

fn main() -> ExitCode {
    if !can_run(TOOLS) {
        return ExitCode::FAILURE;
    }
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<()> {
    let asked = asked()?;
    let effort = if asked.quick { Effort::QUICK } else { Effort::FULL };
    let command = if asked.quick { "cargo xtask bench --quick" } else { "cargo xtask bench" };
    let report = run::run(&effort, &asked.wanted, command.to_owned())?;
    print!("{}", report.text());
    if let Some(file) = asked.json {
        let text = serde_json::to_string_pretty(&report.json())?;
        fs::write(&file, text + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    // The page has all numbers, each measured with care.
    if !asked.quick && asked.wanted.0.is_empty() {
        fs::write(root().join(PAGE), report.markdown())
            .with_context(|| format!("cannot write {PAGE}"))?;
        eprintln!("written: {PAGE}");
    }
    Ok(())
}

fn asked() -> Result<Asked> {
    let mut asked = Asked::default();
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--quick") => asked.quick = true,
            Some("--json") => {
                asked.json = Some(arguments.next().context("--json needs a file")?.into());
            }
            Some("--only") => {
                let id = arguments.next().and_then(|id| id.into_string().ok());
                let id = id.context("--only needs an id")?.to_uppercase();
                ensure!(
                    run::IDS.contains(&id.as_str()),
                    "there is no target {id}, but {}",
                    run::IDS.join(", ")
                );
                asked.wanted.0.push(id);
            }
            _ => bail!("what is {}?", argument.display()),
        }
    }
    Ok(asked)
}
