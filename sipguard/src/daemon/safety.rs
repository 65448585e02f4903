//! What an operator's entry must not do: cut off a trusted peer, the host
//! itself, its way out, or half of the internet.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    host::Host,
    nets::{covers, overlap, shown},
};
use crate::{
    api::wire::Origin,
    offender::Offender,
    policy::{Block, Plan, Target},
};

/// The widest networks that can be blocked.
const MIN_V4_BITS: u8 = 8;
const MIN_V6_BITS: u8 = 16;

/// Why an entry is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "{} is too wide: IPv4 networks from /{MIN_V4_BITS} and IPv6 from /{MIN_V6_BITS} on can be blocked",
        shown(*net)
    )]
    TooWide { net: IpNet },
    #[error("{} would block {address}, an address of this host", shown(*net))]
    OwnAddress { net: IpNet, address: IpAddr },
    #[error("{} would block {address}, the default gateway of this host", shown(*net))]
    Gateway { net: IpNet, address: IpAddr },
    #[error("{} would block {target}, which is trusted ({})", shown(*net), where_trusted(*origin))]
    Trusted { net: IpNet, target: Target, origin: Origin },
    #[error("{target} is everybody: that would switch the filter off")]
    TrustsEverybody { target: Target },
}

impl Refusal {
    /// What the operator can do instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::TooWide { .. } => "block smaller networks".to_owned(),
            Self::OwnAddress { .. } | Self::Gateway { .. } => {
                "block networks that leave this address out".to_owned()
            }
            // Feeds and decisions trust nobody.
            Self::Trusted {
                target,
                origin: Origin::File | Origin::Feed | Origin::Crowdsec,
                ..
            } => {
                format!("remove {target} from trusted.toml and run `sipguard reload` first")
            }
            Self::Trusted { target, origin: Origin::Operator, .. } => {
                format!("run `sipguard allow --remove {target}` first")
            }
            Self::TrustsEverybody { .. } => {
                "run `sipguard posture open`, or stop sipguard".to_owned()
            }
        }
    }
}

fn where_trusted(origin: Origin) -> &'static str {
    match origin {
        Origin::File | Origin::Feed | Origin::Crowdsec => "trusted.toml",
        Origin::Operator => "sipguard allow",
    }
}

/// Whether the operator may block `net`.
///
/// # Errors
/// It hits something that must stay reachable, or is too wide.
pub(super) fn check_block<'a>(
    net: IpNet,
    host: &Host,
    trusted: impl Iterator<Item = (&'a Target, Origin)>,
) -> Result<(), Refusal> {
    check_host(net, host)?;
    let narrow_enough = match net {
        IpNet::V4(net) => net.prefix_len() >= MIN_V4_BITS,
        IpNet::V6(net) => net.prefix_len() >= MIN_V6_BITS,
    };
    if !narrow_enough {
        return Err(Refusal::TooWide { net });
    }
    for (target, origin) in trusted {
        if overlap(net, target.net) {
            return Err(Refusal::Trusted { net, target: *target, origin });
        }
    }
    Ok(())
}

/// Whether the operator may trust `target`.
///
/// # Errors
/// It is everybody.
pub(super) fn check_allow(target: Target) -> Result<(), Refusal> {
    if target.net.prefix_len() == 0 {
        return Err(Refusal::TrustsEverybody { target });
    }
    Ok(())
}

/// Whether somebody may be banned: who is trusted with all that the ban would
/// hit cannot, nor the host itself.
///
/// # Errors
/// He may not.
pub(super) fn check_ban<'a>(
    who: Offender,
    host: &Host,
    trusted: impl Iterator<Item = (&'a Target, Origin)>,
) -> Result<(), Refusal> {
    check_host(who.source, host)?;
    for (target, origin) in trusted {
        let has_port = target.port.is_none() || target.port == who.port.map(|(port, _)| port);
        if has_port && covers(target.net, who.source) {
            return Err(Refusal::Trusted { net: who.source, target: *target, origin });
        }
    }
    Ok(())
}

/// Takes out of the plan the blocks that would hit the host itself, which it
/// returns with the reason of each.
#[must_use]
pub(super) fn protect_host(plan: &mut Plan, host: &Host) -> Vec<Refusal> {
    let refusals: Vec<Refusal> =
        plan.blocked.keys().filter_map(|net| check_host(*net, host).err()).collect();
    for refusal in &refusals {
        if let Refusal::OwnAddress { net, .. } | Refusal::Gateway { net, .. } = refusal {
            plan.blocked.remove(net);
        }
    }
    refusals
}

/// Takes out of the plan the blocks that have ended, and returns them.
#[must_use]
pub(super) fn drop_ended(plan: &mut Plan, now: jiff::Timestamp) -> Vec<IpNet> {
    let ended = |block: &Block| block.until.is_some_and(|until| until <= now);
    let nets: Vec<IpNet> =
        plan.blocked.iter().filter(|(_, block)| ended(block)).map(|(net, _)| *net).collect();
    for net in &nets {
        plan.blocked.remove(net);
    }
    nets
}

/// Whether a block or a ban of `net` would leave the host alone.
///
/// # Errors
/// It would not.
pub(super) fn check_host(net: IpNet, host: &Host) -> Result<(), Refusal> {
    for address in &host.addresses {
        if overlap(net, IpNet::from(*address)) {
            return Err(Refusal::OwnAddress { net, address: *address });
        }
    }
    for address in &host.gateways {
        if overlap(net, IpNet::from(*address)) {
            return Err(Refusal::Gateway { net, address: *address });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse_net;

    fn host() -> Host {
        Host {
            addresses: vec!["10.1.2.3".parse().unwrap(), "2001:db8:1::1".parse().unwrap()],
            gateways: vec!["10.1.2.1".parse().unwrap(), "fe80::1".parse().unwrap()],
        }
    }

    fn check(net: &str) -> Result<(), Refusal> {
        let file: Target = "203.0.113.20:5060".parse().unwrap();
        let allowed: Target = "198.51.100.0/24".parse().unwrap();
        let trusted = [(&file, Origin::File), (&allowed, Origin::Operator)];
        check_block(parse_net(net).unwrap(), &host(), trusted.into_iter())
    }

    #[test]
    fn scanners_can_be_blocked() {
        for net in [
            "192.0.2.7",
            "192.0.2.0/24",
            "9.0.0.0/8",
            "10.1.2.4/30",
            "2001:db8:2::/48",
            "2600::/16",
        ] {
            assert_eq!(check(net), Ok(()), "{net}");
        }
    }

    #[test]
    fn the_host_and_its_gateway_cannot() {
        for net in ["10.1.2.3", "10.0.0.0/8", "2001:db8:1::1", "2001:db8::/32", "0.0.0.0/0"] {
            assert!(matches!(check(net), Err(Refusal::OwnAddress { .. })), "{net}");
        }
        for net in ["10.1.2.1", "10.1.2.0/31", "fe80::1", "fe80::/16"] {
            assert!(matches!(check(net), Err(Refusal::Gateway { .. })), "{net}");
        }
    }

    #[test]
    fn trusted_peers_cannot_whichever_holds_the_other() {
        for net in ["203.0.113.20", "203.0.113.0/24", "198.51.100.7", "198.0.0.0/8"] {
            assert!(matches!(check(net), Err(Refusal::Trusted { .. })), "{net}");
        }
        let refusal = check("198.51.100.7").unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "198.51.100.7 would block 198.51.100.0/24, which is trusted (sipguard allow)"
        );
        assert!(refusal.hint().contains("allow --remove 198.51.100.0/24"));
    }

    #[test]
    fn l31_trusted_peers_and_the_host_are_never_banned() {
        let trusted: Target = "203.0.113.0/24".parse().unwrap();
        let with_port: Target = "198.51.100.7:5060".parse().unwrap();
        let check = |source: &str, port| {
            let trusted = [(&trusted, Origin::File), (&with_port, Origin::Operator)];
            let who = Offender { source: parse_net(source).unwrap(), port };
            check_ban(who, &host(), trusted.into_iter())
        };
        for source in ["203.0.113.20", "10.1.2.3", "10.1.2.1", "2001:db8:1::/64"] {
            assert!(check(source, None).is_err(), "{source}");
            assert!(check(source, Some((5060, 17))).is_err(), "{source}");
        }
        assert!(check("198.51.100.7", Some((5060, 17))).is_err());
        // Its other ports are a stranger's.
        assert_eq!(check("198.51.100.7", Some((5061, 17))), Ok(()));
        assert_eq!(check("198.51.100.7", None), Ok(()));
        assert_eq!(check("198.51.100.8", None), Ok(()));
    }

    #[test]
    fn half_of_the_internet_cannot() {
        for net in ["128.0.0.0/7", "4000::/15", "::ffff:0:0/96"] {
            let refusal = check_block(parse_net(net).unwrap(), &Host::default(), [].into_iter());
            assert!(matches!(refusal, Err(Refusal::TooWide { .. })), "{net}");
        }
    }

    #[test]
    fn trust_for_everybody_is_refused() {
        for target in ["0.0.0.0/0", "::ffff:0:0/96", "0.0.0.0/0:5060"] {
            assert!(check_allow(target.parse().unwrap()).is_err(), "{target}");
        }
        for target in ["10.0.0.0/8", "203.0.113.20:5060", "2001:db8::/32"] {
            assert_eq!(check_allow(target.parse().unwrap()), Ok(()), "{target}");
        }
    }
}
