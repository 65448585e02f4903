//! `sipguard unblock`

use ipnet::IpNet;

use super::{change, exit::Failure, offline::Asked, target};
use crate::{
    daemon::{By, Depth},
    policy::Target,
};

/// Take back a block made by `sipguard block`, and lift a ban
///
/// Fails where there is neither. What blacklist.toml blocks is removed there,
/// followed by `sipguard reload`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As it was blocked or banned; see `sipguard list`
    #[arg(value_name = "ADDR|CIDR", value_parser = target::net)]
    net: IpNet,
}

pub(super) fn run(Args { net }: Args, asked: &Asked) -> Result<(), Failure> {
    let removed = asked.ask(
        |client| client.unblock(&Target { net, port: None }.to_string()),
        Depth::Lists,
        |daemon| daemon.unblock(net, By::caller()),
    )?;
    change::removed(&removed, "unblocked", "blocked")
}
