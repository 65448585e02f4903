//! Bans as operators see them.

use std::cmp::Reverse;

use ipnet::IpNet;
use jiff::Timestamp;

use super::Daemon;
use crate::{
    api::wire::Banned,
    daemon::{By, Error, audit::audit_words, nets::shown},
    kernel::BanEntry,
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
        let mut bans = self.filter.bans().map_err(Error::Filter)?;
        bans.sort_by_key(|ban| (Reverse(ban.since), ban.source));
        Ok(bans.iter().map(|ban| self.ban(ban)).collect())
    }

    fn ban(&self, ban: &BanEntry) -> Banned {
        Banned {
            source: shown(ban.source),
            rule: ban.rule.name().to_owned(),
            signature: self.filter.signature_name(ban.signature).map(str::to_owned),
            since: ban.since,
            until: ban.expires,
        }
    }

    /// Lifts the bans that hit an address of this network; `None` where none
    /// does.
    pub(super) fn lift_bans(&mut self, net: IpNet, uid: u32) -> Result<Option<Lifted>, Error> {
        let mut bans = self.filter.bans().map_err(Error::Filter)?;
        bans.retain(|ban| net.contains(&ban.source) || ban.source.contains(&net));
        let Some(last) = bans.iter().max_by_key(|ban| ban.expires) else { return Ok(None) };
        self.filter.unban(net).map_err(Error::Filter)?;
        for ban in &bans {
            let old = format!("until {}: {}", ban.expires, ban.rule.name());
            audit_words(By::Uid(uid), "unban", &shown(ban.source), &old, "none");
        }
        let again = if let [one] = bans.as_slice() { one.source } else { net };
        let left = u64::try_from(last.expires.duration_since(Timestamp::now()).as_secs());
        let undo = match left.ok().and_then(Ttl::from_seconds) {
            Some(ttl) => format!("sipguard block {} --ttl {ttl}", shown(again)),
            None => format!("sipguard block {} --ttl 1s", shown(again)),
        };
        Ok(Some(Lifted { count: bans.len(), undo }))
    }
}
