//! Bans as operators see them.

use std::cmp::Reverse;

use ipnet::IpNet;
use jiff::Timestamp;

use super::Daemon;
use crate::{
    api::wire::Banned,
    daemon::{
        By, Error,
        audit::audit,
        nets::{overlap, shown},
    },
    history::{Kind, Line},
    kernel::BanEntry,
    offender::Offender,
    ttl::Ttl,
};

/// Bans that were lifted.
#[derive(Debug)]
pub(super) struct Lifted {
    pub(super) count: usize,
    /// The command that blocks as long as they would have.
    pub(super) undo: String,
}

impl Daemon {
    /// The bans that hold, the newest first.
    pub(super) fn banned(&self) -> Result<Vec<Banned>, Error> {
        self.banned_if(|_| true)
    }

    /// Of those, the ones that hit addresses of this network.
    pub(in crate::daemon) fn banned_in(&self, net: IpNet) -> Result<Vec<Banned>, Error> {
        self.banned_if(|who| overlap(who.source, net))
    }

    fn banned_if(&self, chosen: impl Fn(&Offender) -> bool) -> Result<Vec<Banned>, Error> {
        let mut bans = self.filter.bans().map_err(Error::Filter)?;
        bans.retain(|ban| chosen(&ban.who));
        bans.sort_by_key(|ban| (Reverse(ban.since), ban.who));
        Ok(bans.iter().map(|ban| self.ban(ban)).collect())
    }

    fn ban(&self, ban: &BanEntry) -> Banned {
        Banned {
            source: shown(ban.who.source),
            port: ban.who.port.map(|(port, _)| port),
            transport: ban.who.transport().map(str::to_owned),
            rule: ban.rule.name().to_owned(),
            signature: self.filter.signature_name(ban.signature).map(str::to_owned),
            failures: ban.failures,
            proven: ban.proven,
            since: ban.since,
            until: ban.expires,
        }
    }

    /// Lifts the bans that hit an address of this network; `None` where none
    /// does. Whoever was banned there begins anew.
    pub(super) fn lift_bans(&mut self, net: IpNet, by: By) -> Result<Option<Lifted>, Error> {
        let mut bans = self.filter.bans().map_err(Error::Filter)?;
        bans.retain(|ban| overlap(ban.who.source, net));
        let Some(last) = bans.iter().max_by_key(|ban| ban.expires) else { return Ok(None) };
        self.filter.unban(net).map_err(Error::Filter)?;
        for ban in &bans {
            let old = format!("until {}: {}", ban.expires, ban.rule.name());
            audit(by, Kind::Unban.name(), &ban.who.to_string(), &old, "none");
            self.history.add(Line {
                target: Some(ban.who.to_string()),
                net: Some(ban.who.source),
                old: Some(old),
                new: Some("none".to_owned()),
                ..Line::new(Kind::Unban, by.to_string())
            });
        }
        for who in self.history.banned(|who| overlap(who.source, net)) {
            self.history.set_ban(who, None);
        }
        Ok(Some(Lifted { count: bans.len(), undo: undo(net, &bans, last) }))
    }
}

/// What bans the same addresses for as long. There is no command for a single
/// port: then all of the address.
fn undo(net: IpNet, bans: &[BanEntry], last: &BanEntry) -> String {
    let again = if let [one] = bans { one.who.source } else { net };
    let left = u64::try_from(last.expires.duration_since(Timestamp::now()).as_secs());
    match left.ok().and_then(Ttl::from_seconds) {
        Some(ttl) => format!("sipguard block {} --ttl {ttl}", shown(again)),
        None => format!("sipguard block {} --ttl 1s", shown(again)),
    }
}
