//! A plan's part of a list, as the lists look at it.

use std::{collections::BTreeMap, ops::RangeInclusive};

use ipnet::IpNet;
use jiff::Timestamp;

use crate::policy::{Block, CpsClass, Peer, Target};

/// What a plan says of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms<'a> {
    /// When the entry ends; `None` is never.
    pub(super) until: Option<Timestamp>,
    /// The class of a peer, and its name.
    pub(super) class: Option<(CpsClass, &'a str)>,
}

/// The entries of a plan for one list.
pub(super) trait Planned: Default {
    fn all(&self) -> impl Iterator<Item = (Target, Terms<'_>)>;
    fn get(&self, target: Target) -> Option<Terms<'_>>;
    /// In the order of targets: by address, then prefix length, then port.
    fn range(&self, targets: RangeInclusive<Target>) -> impl Iterator<Item = (Target, Terms<'_>)>;
}

const fn blocked(net: IpNet) -> Target {
    Target { net, port: None }
}

impl Planned for BTreeMap<IpNet, Block> {
    fn all(&self) -> impl Iterator<Item = (Target, Terms<'_>)> {
        self.iter().map(|(net, block)| (blocked(*net), of_block(block)))
    }

    fn get(&self, target: Target) -> Option<Terms<'_>> {
        match target.port {
            None => Self::get(self, &target.net).map(of_block),
            Some(_) => None,
        }
    }

    fn range(&self, targets: RangeInclusive<Target>) -> impl Iterator<Item = (Target, Terms<'_>)> {
        let nets = targets.start().net..=targets.end().net;
        Self::range(self, nets).map(|(net, block)| (blocked(*net), of_block(block)))
    }
}

const fn of_block(block: &Block) -> Terms<'_> {
    Terms { until: block.until, class: None }
}

impl Planned for BTreeMap<Target, Peer> {
    fn all(&self) -> impl Iterator<Item = (Target, Terms<'_>)> {
        self.iter().map(|(target, peer)| (*target, of_peer(peer)))
    }

    fn get(&self, target: Target) -> Option<Terms<'_>> {
        Self::get(self, &target).map(of_peer)
    }

    fn range(&self, targets: RangeInclusive<Target>) -> impl Iterator<Item = (Target, Terms<'_>)> {
        Self::range(self, targets).map(|(target, peer)| (*target, of_peer(peer)))
    }
}

fn of_peer(peer: &Peer) -> Terms<'_> {
    Terms { until: None, class: peer.class.map(|class| (class, &*peer.name)) }
}
