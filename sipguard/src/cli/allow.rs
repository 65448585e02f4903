//! `sipguard allow`

use super::{change, exit::Failure, target};
use crate::{
    api::{client::Client, wire::Entry},
    policy::Target,
    ttl::Ttl,
};

/// Trust an address or network, at once
///
/// Trust wins over every block and limit. The entry survives reloads; to keep
/// it for ever, put it into trusted.toml. `sipguard allow --remove` takes it
/// back.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Such as 203.0.113.10, 198.51.100.0/24, 203.0.113.10:5060 or
    /// [2001:db8::1]:5060; the port is the source's
    #[arg(value_name = "ADDR|CIDR|ADDR:PORT", value_parser = target::target)]
    target: Target,
    /// How long, such as 10m, 24h or 7d [default: until it is removed]
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Ttl>,
    /// Why; shown by `sipguard list`
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Take back what `sipguard allow` did
    #[arg(long, conflicts_with_all = ["ttl", "reason"])]
    remove: bool,
}

pub(super) fn run(args: Args, client: &Client) -> Result<(), Failure> {
    let Args { target, ttl, reason, remove } = args;
    let target = target.to_string();
    if remove {
        let removed = client.disallow(&target)?;
        return change::removed(&removed, "no longer trusted:", "trusted");
    }
    let added = client.allow(&Entry { target, ttl, reason })?;
    change::added(&added, "trusted")
}
