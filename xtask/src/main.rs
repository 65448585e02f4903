//! `cargo xtask`: the one entry point to set up, build, run and test sipguard.
//!
//! Each verb has a file of its own in `verbs` and sets up by itself what it
//! needs. To add a verb: a file there, a variant of [`Verb`], a match arm.

mod bounded;
mod cargo;
mod process;
mod program;
mod root;
mod side_by_side;
mod tools;
mod verbs;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Find or install what compiling sipguard takes
    Setup,
    /// Build the kernel program and the release binary
    Build,
    /// Set up, build, then run sipguard on an interface
    Run(verbs::run::Args),
    /// Set up, build, then show servers without and with sipguard
    Demo,
    /// Set up, build, then measure sipguard against what it competes with
    Bench(verbs::bench::Args),
    /// Set up, build, then let everything happen to sipguard for half an hour
    Soak(verbs::soak::Args),
    /// Set up, build, then run every test
    Test(verbs::test::Args),
    /// Set up, build, then run kernel tests on other kernels in virtual machines
    Kernels(verbs::kernels::Args),
    /// Set up, build, then look for inputs that break something
    Fuzz(verbs::fuzz::Args),
    /// Run the tests of the decision code in an interpreter (miri)
    Miri,
    /// Set up, build, then make a Debian package below target/dist
    Dist(verbs::dist::Args),
    /// Check format and lints, run every test, try every kernel and the package; skips are failures
    Ci,
    #[command(hide = true)]
    Bounded(bounded::Args),
}

fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    let result = Workspace::locate().and_then(|workspace| match verb {
        Verb::Setup => verbs::setup::run(&workspace),
        Verb::Build => verbs::build::run(&workspace),
        Verb::Run(args) => verbs::run::run(&workspace, &args),
        Verb::Demo => verbs::demo::run(&workspace),
        Verb::Bench(args) => verbs::bench::run(&workspace, &args),
        Verb::Soak(args) => verbs::soak::run(&workspace, &args),
        Verb::Test(args) => verbs::test::run(&workspace, &args),
        Verb::Kernels(args) => verbs::kernels::run(&workspace, &args),
        Verb::Fuzz(args) => verbs::fuzz::run(&workspace, &args),
        Verb::Miri => verbs::miri::run(&workspace),
        Verb::Dist(args) => verbs::dist::run(&workspace, &args),
        Verb::Ci => verbs::ci::run(&workspace),
        Verb::Bounded(args) => bounded::run(&args),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
