//! Addresses on the command line.

use ipnet::IpNet;

use crate::{
    policy::{self, Target, TargetError},
    sanitise::sanitise,
};

/// Reads an address or network.
pub(super) fn net(text: &str) -> Result<IpNet, String> {
    policy::parse_net(text).map_err(|error| complain(&error))
}

/// Reads an address or network, with or without a source port.
pub(super) fn target(text: &str) -> Result<Target, String> {
    text.parse().map_err(|error| complain(&error))
}

fn complain(error: &TargetError) -> String {
    sanitise(&format!("{error}: {}", error.remedy()), 400)
}
