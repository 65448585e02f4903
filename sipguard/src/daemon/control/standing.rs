//! What holds for one address, and who is verified.

use std::net::IpAddr;

use ipnet::IpNet;
use sipguard_common::method::{Budget, Class};

use super::Daemon;
use crate::{
    api::wire::{self, Banned, Listed, Origin},
    daemon::{Error, error::undecided, nets::covers},
    kernel::{FailuresEntry, Level, Reply, SiteEntry, Standing, StrangerLevels, VerifiedEntry},
    offender::transport,
    policy::{BLACKLIST, TRUSTED, Target},
};

impl Daemon {
    /// Everybody who is verified, by address and port.
    pub(super) fn verified(&self) -> Result<Vec<wire::Verified>, Error> {
        let verified = self.filter.verified().map_err(Error::Filter)?;
        Ok(verified.iter().map(verified_wire).collect())
    }

    /// All that holds for an address; without events and history, which others
    /// have.
    ///
    /// # Errors
    /// The kernel refused to tell.
    pub(in crate::daemon) fn standing(&self, address: IpAddr) -> Result<wire::Why, Error> {
        let address = address.to_canonical();
        let net = IpNet::from(address);
        let known = self.filter.standing(address, &self.plan.policy).map_err(Error::Filter)?;
        let Standing { verified, site, failures, levels } = known;
        let trusted = self.trusted_if(|target| covers(target.net, net));
        let blocked = self.blocked_if(|block| covers(block, net));
        let banned = self.banned_in(net)?;
        let undo = undo(address, &trusted, &blocked, &banned);
        let verified: Vec<wire::VerifiedLevels> = verified
            .iter()
            .map(|(endpoint, levels)| wire::VerifiedLevels {
                endpoint: verified_wire(endpoint),
                levels: of_classes(levels),
            })
            .collect();
        let standing = if trusted.iter().any(is_of_every_port) {
            "trusted"
        } else if !blocked.is_empty() {
            "blocked"
        } else if banned.iter().any(|ban| ban.port.is_none()) {
            "banned"
        } else if !verified.is_empty() {
            "verified"
        } else if site.is_some() {
            "site"
        } else {
            "stranger"
        };
        Ok(wire::Why {
            address,
            standing: standing.to_owned(),
            trusted,
            blocked,
            banned,
            verified,
            site: site.map(site_wire),
            failures: failures.iter().map(failures_wire).collect(),
            levels: levels_wire(&levels),
            events: Vec::new(),
            history: Vec::new(),
            undo,
        })
    }
}

fn is_of_every_port(listed: &Listed) -> bool {
    listed.target.parse::<Target>().is_ok_and(|target| target.port.is_none())
}

/// How to take back what holds, in the order in which it counts.
fn undo(address: IpAddr, trusted: &[Listed], blocked: &[Listed], banned: &[Banned]) -> Vec<String> {
    let in_file = |target: &str, file| format!("remove {target} from {file}, `sipguard reload`");
    let trust = trusted.iter().map(|listed| match listed.origin {
        Origin::File | Origin::Feed | Origin::Crowdsec => in_file(&listed.target, TRUSTED),
        Origin::Operator => format!("`sipguard allow --remove {}`", listed.target),
    });
    let blocks = blocked.iter().map(|listed| match listed.origin {
        Origin::File => in_file(&listed.target, BLACKLIST),
        Origin::Operator => format!("`sipguard unblock {}`", listed.target),
        Origin::Feed => format!("`sipguard allow {address}`: trust wins over feeds"),
        Origin::Crowdsec => undecided(&listed.target),
    });
    let bans = (!banned.is_empty()).then(|| format!("`sipguard unblock {address}`"));
    let mut undo: Vec<String> = trust.chain(blocks).chain(bans).collect();
    undo.dedup();
    undo
}

fn verified_wire(one: &VerifiedEntry) -> wire::Verified {
    let (status, replied) = reply_wire(one.reply);
    wire::Verified {
        address: one.address,
        port: one.port,
        transport: transport(one.protocol).to_owned(),
        how: one.how.name().to_owned(),
        proven: one.proven,
        since: one.since,
        until: one.until,
        status,
        replied,
    }
}

fn reply_wire(reply: Option<Reply>) -> (Option<u32>, Option<jiff::Timestamp>) {
    reply.map(|Reply { status, at }| (status, at)).unzip()
}

fn site_wire(site: SiteEntry) -> wire::Site {
    let SiteEntry { accounts, times, until } = site;
    wire::Site { accounts, times, until }
}

fn failures_wire(one: &FailuresEntry) -> wire::Failures {
    let (status, replied) = reply_wire(one.reply);
    wire::Failures {
        port: one.port.map(|(port, _)| port),
        transport: one.port.map(|(_, protocol)| transport(protocol).to_owned()),
        passwords: one.passwords,
        harvest: one.harvest,
        since: one.since,
        hour: one.hour,
        hour_since: one.hour_since,
        status,
        replied,
    }
}

fn level(name: &str, level: Level) -> wire::Level {
    wire::Level { name: name.to_owned(), left: level.left, burst: level.burst }
}

fn of_classes(levels: &[(Class, Level)]) -> Vec<wire::Level> {
    levels.iter().map(|(class, one)| level(class.name(), *one)).collect()
}

fn levels_wire(levels: &StrangerLevels) -> wire::Levels {
    let of_all = |(budget, one): &(Budget, Level)| level(budget.name(), *one);
    let reserve = levels.reserve.map(|one| level("reserve", one));
    wire::Levels {
        source: of_classes(&levels.source),
        subnet: levels.subnet.map(|one| level("total", one)),
        strangers: levels.all.iter().map(of_all).chain(reserve).collect(),
    }
}
