//! `sipguard block`

use ipnet::IpNet;

use super::{change, exit::Failure, offline::Asked, target};
use crate::{
    api::wire::Entry,
    daemon::{By, Depth},
    policy::Target,
    ttl::Ttl,
};

/// Drop everything from an address or network, at once
///
/// A second block of the same target replaces the first. Trusted targets, this
/// host's own addresses and its gateways are refused. The entry survives
/// reloads and restarts; what shall be known to all belongs into blacklist.toml.
/// `sipguard unblock` takes it back.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Such as 192.0.2.7, 198.51.100.0/24 or 2001:db8::/48
    #[arg(value_name = "ADDR|CIDR", value_parser = target::net)]
    net: IpNet,
    /// How long, such as 90s, 10m, 1h30m or 7d [default: until it is
    /// removed]
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Ttl>,
    /// Why; shown by `sipguard list`
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) fn run(Args { net, ttl, reason }: Args, asked: &Asked) -> Result<(), Failure> {
    let target = Target { net, port: None }.to_string();
    let entry = Entry { target, ttl, reason: reason.clone() };
    let added = asked.ask(
        |client| client.block(&entry),
        Depth::Lists,
        |daemon| daemon.block(net, ttl, reason, By::caller()),
    )?;
    change::added(&added, "blocked")
}
