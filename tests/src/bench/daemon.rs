//! What the daemon takes: time to start and to reload, memory, CPU.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use sipguard_common::rule::{Rule, Verdict};

use super::{
    filter::Active,
    generator::{Generator, Pace},
    machine, policy,
    stand::{FAR, Span, Stand},
    traffic::{MANY, Mix, trusted_among},
};
use crate::rig::{
    footprint::{map_bytes, resident_bytes},
    sipguard::{Sipguard, Stats},
};

/// Packets a second while it reloads: so few that none is lost on the wire.
const GENTLE: u32 = 20_000;
/// The flood under which it idles.
const MILLION: u32 = 1_000_000;
/// How long traffic runs before and after a reload.
const AROUND: Duration = Duration::from_millis(100);

/// What a reload took, and what happened to the packets meanwhile.
#[derive(Clone, Debug)]
pub struct Reload {
    pub took: Duration,
    pub packets: u64,
    /// Trusted ones that did not pass as such, and others that did not end.
    pub misjudged: u64,
    /// Packets that never reached the filter.
    pub lost: u64,
}

/// Reloads between a small and the full policy, there and back, under traffic
/// that both judge alike.
///
/// # Errors
/// Where something cannot be measured.
pub fn reloads() -> Result<Vec<Reload>> {
    let stand = Stand::new()?;
    let small = policy::with(super::traffic::AGENTS.len(), 1_000);
    let active = Active::sipguard_with(&stand, &small)?;
    // What the kernel itself would send is counted as received, too.
    stand.lab().ip_outside(&["-6", "address", "flush", "dev", FAR])?;
    [policy::full(), small, policy::full()]
        .iter()
        .map(|policy| {
            policy.write(active.sipguard()?.folder())?;
            reload(&active)
        })
        .collect()
}

fn reload(active: &Active<'_>) -> Result<Reload> {
    let sipguard = active.sipguard()?;
    let before = (active.stand.snapshot()?, sipguard.stats()?);
    let generator = Generator::start(active.stand, Mix::Quarters, Pace::Steady(GENTLE))?;
    thread::sleep(AROUND);
    let took = sipguard.reload()?;
    thread::sleep(AROUND);
    let packets = generator.stop()?;
    thread::sleep(AROUND);
    let after = (active.stand.snapshot()?, sipguard.stats()?);
    let status = sipguard.json(&["status", "--json"])?;
    ensure!(status["reload"]["ok"] == true, "the reload has failed: {}", status["reload"]);

    let lost = packets.saturating_sub(Span::between(&before.0, &after.0).received);
    let trusted = since(&before.1, &after.1, |rule| rule == Rule::Trusted)?;
    let dropped = since(&before.1, &after.1, |rule| rule.verdict() == Verdict::Drop)?;
    let expected = trusted_among(packets);
    let misjudged = misjudged([expected, packets - expected], [trusted, dropped], lost);
    Ok(Reload { took, packets, misjudged, lost })
}

/// Packets that were judged otherwise than they should: those that are too many
/// on one side, and those that are missing on both and were not lost.
fn misjudged(expected: [u64; 2], found: [u64; 2], lost: u64) -> u64 {
    let too_many: u64 =
        expected.iter().zip(found).map(|(expected, found)| found.saturating_sub(*expected)).sum();
    let missing = (expected[0] + expected[1]).saturating_sub(found[0] + found[1]);
    too_many + missing.saturating_sub(lost)
}

/// Packets counted meanwhile under such rules.
fn since(before: &Stats, after: &Stats, wanted: impl Fn(Rule) -> bool) -> Result<u64> {
    let mut sum = 0;
    for rule in Rule::ALL.iter().filter(|rule| !rule.is_egress() && wanted(**rule)) {
        sum += after.packets(rule.name())? - before.packets(rule.name())?;
    }
    Ok(sum)
}

/// What the daemon takes under a flood that its program drops.
#[derive(Clone, Debug)]
pub struct Idle {
    /// Its memory without the maps, which are the kernel's.
    pub resident_bytes: u64,
    pub map_bytes: u64,
    /// Its share of one CPU.
    pub cpu: f64,
    /// Thousands of packets a second.
    pub kpps: f64,
    /// From its start until the protection was on.
    pub started_in: Duration,
}

/// Floods sipguard with a million packets a second.
///
/// # Errors
/// Where something cannot be measured.
pub fn idle(window: Duration) -> Result<Idle> {
    let stand = Stand::new()?;
    let active = Active::sipguard_with(&stand, &policy::full())?;
    let sipguard: &Sipguard<'_> = active.sipguard()?;
    let pid = sipguard.pid();
    let generator = Generator::start(&stand, Mix::Options(MANY), Pace::Steady(MILLION))?;
    thread::sleep(AROUND);
    let before = (machine::run_time(pid)?, stand.snapshot()?);
    thread::sleep(window);
    let after = (machine::run_time(pid)?, stand.snapshot()?);
    generator.stop()?;
    let span = Span::between(&before.1, &after.1);
    Ok(Idle {
        resident_bytes: resident_bytes(pid)?,
        map_bytes: map_bytes(pid)?,
        cpu: (after.0 - before.0) as f64 / 1e9 / span.seconds,
        kpps: span.mpps() * 1e3,
        started_in: sipguard.took(),
    })
}

#[cfg(test)]
mod tests {
    use super::misjudged;

    #[test]
    fn what_is_lost_on_the_wire_is_not_misjudged() {
        assert_eq!(misjudged([25, 75], [25, 75], 0), 0);
        assert_eq!(misjudged([25, 75], [24, 73], 3), 0);
        // A trusted one was dropped.
        assert_eq!(misjudged([25, 75], [24, 76], 0), 1);
        // One passed under another rule.
        assert_eq!(misjudged([25, 75], [25, 74], 0), 1);
        assert_eq!(misjudged([25, 75], [25, 72], 1), 2);
    }
}
