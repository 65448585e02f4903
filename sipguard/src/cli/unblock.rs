//! `sipguard unblock`

use ipnet::IpNet;

use super::{change, exit::Failure, target};
use crate::{api::client::Client, policy::Target};

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

pub(super) fn run(Args { net }: Args, client: &Client) -> Result<(), Failure> {
    let removed = client.unblock(&Target { net, port: None }.to_string())?;
    change::removed(&removed, "unblocked", "blocked")
}
