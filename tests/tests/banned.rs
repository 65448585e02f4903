//! Bans of the real kernel program as the daemon shows and lifts them. Nothing
//! is attached.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sipguard::{
    api::wire::Kind,
    daemon::{By, Daemon, Place},
    kernel::Kernel,
    policy::{Plan, parse_net},
};
use sipguard_common::rule::Rule;
use tests::kernel::or_skip;

#[test]
fn bans_are_listed_and_unblock_lifts_them() -> Result<()> {
    let Some(mut kernel) = or_skip(Kernel::load()) else { return Ok(()) };
    let plan = Plan::default();
    kernel.apply(&plan)?;
    let ttl = Duration::from_secs(600);
    for address in ["198.51.100.7", "198.51.100.8", "2001:db8:2::7"] {
        kernel.ban(address.parse()?, ttl, Rule::Signature)?;
    }
    let place = Place::new("/nonexistent".into());
    let mut daemon = Daemon::new(Box::new(kernel), place, plan, Vec::new());

    let sources = |daemon: &Daemon| -> Result<Vec<String>> {
        let banned = daemon.lists(Some(Kind::Banned))?.banned.context("no list")?;
        ensure!(banned.iter().all(|ban| ban.rule == "signature" && ban.until > ban.since));
        let mut sources: Vec<String> = banned.into_iter().map(|ban| ban.source).collect();
        sources.sort();
        Ok(sources)
    };
    ensure!(sources(&daemon)? == ["198.51.100.7", "198.51.100.8", "2001:db8:2::/64"]);
    ensure!(daemon.status()?.banned == 3);

    let removed = daemon.unblock(parse_net("2001:db8:2::5")?, By::Uid(0))?;
    ensure!((removed.listed, removed.unbanned) == (false, 1), "{removed:?}");
    let removed = daemon.unblock(parse_net("198.51.100.0/24")?, By::Uid(0))?;
    ensure!(removed.unbanned == 2 && removed.still.is_empty(), "{removed:?}");
    ensure!(sources(&daemon)?.is_empty());
    ensure!(daemon.unblock(parse_net("198.51.100.7")?, By::Uid(0)).is_err());
    Ok(())
}
