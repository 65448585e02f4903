//! The soak: traffic of every kind, any deed of an operator, and faults, for as
//! long as is asked for.
//!
//! Everything happens in network namespaces that nobody else is in; they and
//! all processes in them go away with this one, however it ends.

use std::{env, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use tests::{
    rig::tool::{Tool, can_run},
    soak::{self, Wish},
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard];

fn main() -> ExitCode {
    if !can_run(TOOLS) {
        return ExitCode::FAILURE;
    }
    match wish().and_then(|wish| soak::run(&wish, |line| println!("{line}"))) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What `cargo xtask soak` was asked for.
fn wish() -> Result<Wish> {
    let mut wish = Wish::default();
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64> {
            let text = arguments.next().with_context(|| format!("{argument} needs a number"))?;
            text.parse().with_context(|| format!("{argument} needs a number, not {text}"))
        };
        match argument.as_str() {
            "--minutes" => wish.length = Duration::from_secs(60 * number()?),
            "--seed" => wish.seed = number()?,
            _ => bail!("what is {argument}?"),
        }
    }
    println!("{} minutes, seed {}", wish.length.as_secs() / 60, wish.seed);
    Ok(wish)
}
