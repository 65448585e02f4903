//! Large maps are read whole.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::{Result, ensure};
use sipguard::{kernel::BenchKernel, policy::Plan};
use sipguard_common::rule::Rule;
use tests::kernel::or_skip;

/// More than one call gives.
const BANS: u32 = 20_000;

#[test]
fn every_ban_is_read_once_however_many_there_are() -> Result<()> {
    let Some(mut bench) = or_skip(BenchKernel::load()) else { return Ok(()) };
    let kernel = bench.kernel();
    kernel.apply(&Plan::default())?;
    ensure!(kernel.bans()?.is_empty());
    let address = |number: u32| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number));
    for number in 0..BANS {
        kernel.ban(address(number), Duration::from_secs(600), Rule::Auth)?;
    }
    let bans = kernel.bans()?;
    let sources: BTreeSet<IpAddr> = bans.iter().map(|ban| ban.who.source.addr()).collect();
    ensure!(bans.len() == BANS as usize, "{} bans", bans.len());
    ensure!(sources == (0..BANS).map(address).collect(), "{} sources", sources.len());
    Ok(())
}
