//! The `sipguard` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    sipguard::cli::main()
}
