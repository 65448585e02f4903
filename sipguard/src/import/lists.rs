//! Lists of addresses of which the file may not say what they are for.

use std::num::NonZeroU16;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    Aim, Options,
    draft::{Draft, Origin, Part},
    firewall::Use,
};
use crate::policy::Target;

/// One element.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) origin: Origin,
    /// Or why it is no network.
    pub(super) nets: Result<Vec<IpNet>, String>,
    pub(super) until: Option<Timestamp>,
    pub(super) port: Option<NonZeroU16>,
    /// What only the operator can decide.
    pub(super) doubt: Option<String>,
}

/// A set with its members.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) origin: Origin,
    pub(super) name: String,
    /// The name of its peer, or the reason of its blocks.
    pub(super) label: String,
    pub(super) members: Vec<Member>,
}

/// Brings the members where they belong. What the user says wins.
pub(super) fn emit(list: Listed, what: Use, options: &Options, draft: &mut Draft) {
    if !options.wants(&list.name) {
        let why = "not chosen by --list";
        draft.left(Part::Blacklist, &list.origin, why);
        return;
    }
    let what = match options.into {
        Some(Aim::Trusted) => Use::Trust,
        Some(Aim::Blacklist) => Use::Block,
        None => what,
    };
    for member in list.members {
        one(&list.label, member, &what, draft);
    }
}

fn one(label: &str, member: Member, what: &Use, draft: &mut Draft) {
    let part = if *what == Use::Trust { Part::Trusted } else { Part::Blacklist };
    let origin = &member.origin;
    let nets = match &member.nets {
        Ok(nets) => nets,
        Err(why) => return draft.left(part, origin, why),
    };
    for net in nets {
        let target = Target { net: *net, port: member.port.map(NonZeroU16::get) };
        match (what, &member.doubt) {
            (Use::Trust, Some(why)) => draft.doubt_trust(origin, label, target, why),
            (Use::Trust, None) if member.until.is_some() => {
                let why = "the entry ends by itself; one of trusted.toml does not: use `sipguard \
                           allow` with --ttl";
                draft.doubt_trust(origin, label, target, why);
            }
            (Use::Trust, None) => draft.trust(origin, label, target),
            (Use::Block, Some(why)) => draft.doubt_block(origin, label, *net, why),
            (Use::Block, None) if member.port.is_some() => {
                let why = "the entry is about one source port; a block is about all";
                draft.doubt_block(origin, label, *net, why);
            }
            (Use::Block, None) => draft.block(origin, label, *net, member.until),
            (Use::Unclear(why), _) => {
                let why = format!("{why}: choose by --into trusted or --into blacklist");
                draft.doubt_block(origin, label, *net, &why);
            }
        }
    }
}
