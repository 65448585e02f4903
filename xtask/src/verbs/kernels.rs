//! `kernels`: the same kernel program on Debian's kernels, each in a virtual
//! machine, against what is expected of each.

mod expectation;
mod initramfs;
mod machine;
mod plan;
mod report;
mod table;

use std::process::ExitCode;

use anyhow::{Result, ensure};

use self::{
    expectation::Expectation,
    initramfs::Programs,
    table::{Outcome, Row},
};
use crate::{
    tools::kernels::Store,
    verbs::{
        build, setup,
        test::{self, executable, libtest::Totals},
    },
    workspace::Workspace,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kernels to try, such as 6.1 or newest [default: all]
    #[arg(value_name = "VERSION", value_parser = expectation::find)]
    versions: Vec<&'static Expectation>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    Ok(test::finish(run_all(workspace, &args.versions)?))
}

/// Tries these kernels, or all, and prints what became of each.
pub(crate) fn run_all(workspace: &Workspace, chosen: &[&'static Expectation]) -> Result<Totals> {
    ensure!(cfg!(target_arch = "x86_64"), "the virtual machines run programs built on x86-64 only");
    setup::virtual_machines()?;
    build::build(workspace)?;
    let programs = Programs::prepare(workspace, &executable::build_all(workspace)?)?;
    let store = Store::open(workspace)?;
    let all: Vec<_> = expectation::ALL.iter().collect();
    let chosen = if chosen.is_empty() { &all } else { chosen };

    let mut rows = Vec::new();
    for expectation in chosen {
        rows.push(attempt(workspace, &store, &programs, expectation));
    }
    println!("\n{}", table::text(&rows));
    Ok(rows.iter().map(Row::totals).fold(Totals::default(), |mut sum, totals| {
        sum += totals;
        sum
    }))
}

/// Boots one kernel. Whatever keeps it from that is a failure of all its checks.
fn attempt(
    workspace: &Workspace,
    store: &Store,
    programs: &Programs,
    expectation: &'static Expectation,
) -> Row {
    let steps = plan::steps(workspace, expectation);
    let outcome = store.kernel(expectation.series).and_then(|kernel| {
        eprintln!("kernels: Linux {} boots", kernel.version);
        let folder = workspace.target().join("kernels/run").join(expectation.name);
        let ran = machine::run(&folder, &kernel, programs, &steps)?;
        for (number, step) in steps.iter().enumerate() {
            if let Some(took) = ran.report.took(number) {
                eprintln!("kernels: {:5.1} s {}", took.as_secs_f32(), step.command());
            }
        }
        Ok(Outcome { linux: kernel.version, took: ran.took, report: ran.report })
    });
    let row = Row::new(expectation, &steps, outcome);
    eprint!("{}", row.failures());
    row
}
