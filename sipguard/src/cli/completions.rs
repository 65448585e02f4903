//! `sipguard completions`

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::exit::Failure;

/// Print what makes a shell complete verbs and options
///
/// Packages install it already. By hand, for bash: `sipguard completions bash >
/// /etc/bash_completion.d/sipguard`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// For which shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    // To memory first: `generate` panics where it cannot write.
    let mut script = Vec::new();
    generate(args.shell, &mut super::Args::command(), "sipguard", &mut script);
    Ok(io::stdout().lock().write_all(&script)?)
}
