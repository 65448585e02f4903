//! What the ingress program costs when it runs on two processors at once, by
//! BPF_PROG_TEST_RUN: what is each CPU's own costs the same, what is shared costs
//! the way between them.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use sipguard::kernel::BenchKernel;
use tests::{corpus::Setup, packet::Packet, plans::plan, sip::Message};

const RUNS: u32 = 1_000_000;
/// The best of so many rounds counts, for other work only adds.
const ROUNDS: u32 = 5;

fn main() -> Result<()> {
    let mut kernel = BenchKernel::load()?;
    kernel.kernel().apply(&plan(Setup::Base))?;
    let cpus = thread::available_parallelism()?.get();
    if cpus < 2 {
        println!("this machine has one processor: there is nothing to compare");
        return Ok(());
    }
    println!("ns per packet: alone on a processor; on two at once, of one source; of two sources");
    for (name, [one, other]) in traffic() {
        let alone = best(&kernel, &[(0, &one)])?;
        let same = best(&kernel, &[(0, &one), (1, &one)])?;
        let apart = best(&kernel, &[(0, &one), (1, &other)])?;
        let ratio = |time: Duration| time.as_secs_f64() / alone.as_secs_f64();
        println!(
            "{name:28} {:5} {:5} ({:.2}x) {:5} ({:.2}x)",
            alone.as_nanos(),
            same.as_nanos(),
            ratio(same),
            apart.as_nanos(),
            ratio(apart)
        );
    }
    Ok(())
}

/// The slower of those who run at once, in the best of some rounds.
fn best(kernel: &BenchKernel, work: &[(usize, &Vec<u8>)]) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let times = thread::scope(|scope| {
            let threads: Vec<_> = work
                .iter()
                .map(|(cpu, frame)| {
                    scope.spawn(move || -> Result<Duration> {
                        let mut set = CpuSet::new();
                        set.set(*cpu)?;
                        sched_setaffinity(Pid::from_raw(0), &set)?;
                        Ok(kernel.run(frame, RUNS)?)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
        });
        let mut slowest = Duration::ZERO;
        for time in times {
            let time = time.map_err(|_| anyhow::anyhow!("a thread has panicked"))??;
            slowest = slowest.max(time);
        }
        best = best.min(slowest);
    }
    (best < Duration::MAX).then_some(best).context("nothing was run")
}

/// A packet each of two sources.
fn traffic() -> Vec<(&'static str, [Vec<u8>; 2])> {
    let request = |method: &str, agent: &str| {
        Message::request(method, "sip:100@203.0.113.1").agent(agent).build()
    };
    let of = |sources: [&str; 2], payload: &[u8]| {
        sources.map(|source| Packet::udp(source, "203.0.113.1:5060").payload(payload).build())
    };
    let strangers = ["198.51.100.7:5061", "198.51.101.8:5062"];
    let phone = "Yealink SIP-T46S 66.85.0.5";
    vec![
        (
            "INVITE of a trusted network",
            of(["192.0.2.100:5060", "192.0.2.101:5060"], &request("INVITE", phone)),
        ),
        ("blocked", of(["203.0.113.200:5060", "203.0.113.201:5060"], &request("INVITE", phone))),
        ("OPTIONS of strangers", of(strangers, &request("OPTIONS", phone))),
        ("REGISTER of scanners", of(strangers, &request("REGISTER", "friendly-scanner"))),
        ("REGISTER of strangers", of(strangers, &request("REGISTER", phone))),
    ]
}
