//! fail2ban: its database, and what `fail2ban-client` prints.

mod database;
mod output;

pub(super) use database::{is_database, read as read_database};
pub(super) use output::{is_it, read as read_output};

use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    Options, address,
    draft::{Draft, Origin, Part},
};

/// Words in the names of jails that are about SIP, or about everything.
const ABOUT_SIP: [&str; 15] = [
    "sip",
    "asterisk",
    "kamailio",
    "opensips",
    "freeswitch",
    "voip",
    "pbx",
    "3cx",
    "vos",
    "fusion",
    "yate",
    "openser",
    "kazoo",
    "recidive",
    "issabel",
];

/// A ban.
struct Ban<'b> {
    jail: &'b str,
    address: &'b str,
    until: Ends,
}

/// When a ban ends.
#[derive(Clone, Copy)]
enum Ends {
    At(Timestamp),
    Never,
    /// The output does not say so.
    Unknown,
}

fn ban(ban: &Ban<'_>, origin: &Origin, options: &Options, now: Timestamp, draft: &mut Draft) {
    if !options.wants(ban.jail) {
        draft.left(Part::Blacklist, origin, "not chosen by --list");
        return;
    }
    let net: IpNet = match address::net(ban.address) {
        Ok(net) => net,
        Err(why) => {
            draft.left(Part::Blacklist, origin, &why);
            return;
        }
    };
    let until = match ban.until {
        Ends::At(end) if end <= now => {
            draft.left(Part::Blacklist, origin, "it is over");
            return;
        }
        Ends::At(end) => Some(end),
        Ends::Never => None,
        // Not for ever: nobody has said so.
        Ends::Unknown => now.checked_add(options.ttl.duration()).ok().map(whole_seconds),
    };
    let reason = format!("fail2ban {}", ban.jail);
    let jail = ban.jail.to_ascii_lowercase();
    if options.lists.is_empty() && !ABOUT_SIP.iter().any(|word| jail.contains(word)) {
        let why = format!(
            "the jail `{}` is for something else than SIP: choose it by --list if its sources \
             shall not reach the SIP server either",
            ban.jail
        );
        draft.doubt_block(origin, &reason, net, &why);
        return;
    }
    draft.block(origin, &reason, net, until);
}

/// TOML and people need no fractions.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
