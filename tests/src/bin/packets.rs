//! Any number of mutated packets through the kernel program and its host twin
//! ([`tests::marathon`]): `cargo xtask fuzz --packets N`.

use std::{
    env,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use tests::{
    kernel::load_or_skip,
    marathon::{Judged, SETUPS, legit, mutated},
};

/// Each has programs of its own.
const THREADS: u64 = 2;

/// Packets of one round: then all that is remembered is forgotten, for the twin
/// forgets nothing by itself.
const ROUND: usize = 50_000;

/// Every so many rounds one is of packets that must pass.
const LEGIT: u64 = 5;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let asked = env::args().nth(1).context("how many packets?")?;
    let packets: u64 = asked.parse().with_context(|| format!("`{asked}` is no number"))?;
    let rounds = packets.div_ceil(ROUND as u64);
    let (next, started) = (AtomicU64::new(0), Instant::now());
    let all = thread::scope(|scope| {
        let threads = (0..THREADS).map(|_| scope.spawn(|| work(&next, rounds)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().try_fold(Judged::default(), |mut all, thread| {
            // What a panic had to say is on stderr.
            let judged = thread.join().ok().flatten()?;
            all.add(&judged);
            Some(all)
        })
    });
    let all = all.context("kernel and host differ, or the program cannot be loaded: see above")?;
    let seconds = started.elapsed().as_secs_f64();
    for (rule, count) in &all.by_rule {
        println!("{rule:<18} {count:>10}");
    }
    let count = all.count();
    ensure!(count >= packets, "only {count} packets");
    println!(
        "{count} packets in {seconds:.0} s: kernel and host agree on each; {} of them had to pass, \
         and did",
        all.legit
    );
    Ok(())
}

/// Rounds until there is none left; `None` where no program can be loaded.
fn work(next: &AtomicU64, rounds: u64) -> Option<Judged> {
    let mut kernel = load_or_skip()?;
    let mut all = Judged::default();
    loop {
        let round = next.fetch_add(1, Ordering::Relaxed);
        if round >= rounds {
            return Some(all);
        }
        // The number of the round is its seed: a finding is found again.
        let judged = match round % LEGIT {
            0 => legit(&mut kernel, round, ROUND),
            _ => mutated(&mut kernel, SETUPS[(round % SETUPS.len() as u64) as usize], round, ROUND),
        };
        all.add(&judged);
        if round % 20 == 19 {
            eprintln!("{} of {rounds} rounds", round + 1);
        }
    }
}
