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
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

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

/// How many virtual machines run at once.
const AT_ONCE: usize = 2;

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
    let store = Mutex::new(Store::open(workspace)?);
    let all: Vec<_> = expectation::ALL.iter().collect();
    let chosen = if chosen.is_empty() { &all } else { chosen };

    let rows = side_by_side(chosen, |expectation| {
        let row = attempt(workspace, &store, &programs, expectation);
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

/// Does the work for each of these, a few at a time: a virtual machine mostly
/// keeps one processor busy. The results come in the order of `inputs`.
fn side_by_side<I: Copy + Sync, O: Send>(inputs: &[I], work: impl Fn(I) -> O + Sync) -> Vec<O> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(input) = inputs.get(number) else { return };
                    let result = work(*input);
                    lock(&results).push((number, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Boots one kernel. Whatever keeps it from that is a failure of all its checks.
fn attempt(
    workspace: &Workspace,
    store: &Mutex<Store>,
    programs: &Programs,
    expectation: &'static Expectation,
) -> Row {
    let steps = plan::steps(workspace, expectation);
    // One at a time: apt's folders are shared.
    let kernel = lock(store).kernel(expectation.series);
    let outcome = kernel.and_then(|kernel| {
        eprintln!("kernels: Linux {} boots", kernel.version);
        let folder = workspace.target().join("kernels/run").join(expectation.name);
        let ran = machine::run(&folder, &kernel, programs, &steps)?;
        Ok(Outcome { linux: kernel.version, took: ran.took, report: ran.report })
    });
    Row::new(expectation, &steps, outcome)
}

#[cfg(test)]
mod tests {
    use super::side_by_side;

    #[test]
    fn results_come_in_the_order_of_the_inputs() {
        assert_eq!(side_by_side(&[5, 1, 4, 2], |number| number * 2), [10, 2, 8, 4]);
        assert!(side_by_side(&[], |number: u8| number).is_empty());
    }
}
