//! `kernels`: the same kernel program on Debian's kernels, each in a virtual
//! machine, against what is expected of each.

mod expectation;
mod initramfs;
mod machine;
mod plan;
mod report;
mod table;

use std::{
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, ensure};

use self::{
    expectation::Expectation,
    initramfs::Programs,
    table::{Outcome, Row},
};
use crate::{
    side_by_side::side_by_side,
    tools::{kernels::Store, qemu::Qemu},
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
    let qemu = setup::virtual_machines(workspace)?;
    build::build(workspace)?;
    let programs = Programs::prepare(workspace, &executable::build_all(workspace)?)?;
    let store = Mutex::new(Store::open(workspace)?);
    let all: Vec<_> = expectation::ALL.iter().collect();
    let chosen = if chosen.is_empty() { &all } else { chosen };

    let rows = side_by_side(chosen, |expectation| {
        let row = attempt(workspace, &qemu, &store, &programs, expectation);
        eprint!("{}", row.notes());
        row
    });
    println!("\n{}", table::text(&rows));
    let mut totals = Totals::default();
    for row in &rows {
        totals += row.totals();
    }
    Ok(totals)
}

/// Boots one kernel. Whatever keeps it from that is a failure of all its checks.
fn attempt(
    workspace: &Workspace,
    qemu: &Qemu,
    store: &Mutex<Store>,
    programs: &Programs,
    expectation: &'static Expectation,
) -> Row {
    let steps = plan::steps(workspace, expectation);
    // One at a time: apt's folders are shared.
    let kernel = store.lock().unwrap_or_else(PoisonError::into_inner).kernel(expectation.series);
    let outcome = kernel.and_then(|kernel| {
        eprintln!("kernels: Linux {} boots", kernel.version);
        let folder = workspace.target().join("kernels/run").join(expectation.name);
        let ran = machine::run(&folder, qemu, &kernel, programs, &steps)?;
        Ok(Outcome { linux: kernel.version, took: ran.took, report: ran.report })
    });
    Row::new(expectation, &steps, outcome)
}
