//! A plan's part of a list, as the lists look at it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use ipnet::IpNet;
use jiff::Timestamp;

use crate::policy::{Block, CpsClass, Peer, Plan, Shared, Target};

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
    /// Those within; in no order where they have several makers.
    fn range(&self, targets: RangeInclusive<Target>) -> impl Iterator<Item = (Target, Terms<'_>)>;
}

const fn blocked(net: IpNet) -> Target {
    Target { net, port: None }
}

/// A plan's blocks: those of blacklist.toml, and those of feeds, which end with
/// their feed.
#[derive(Default)]
pub(super) struct Blocks {
    file: Shared<BTreeMap<IpNet, Block>>,
    fed: Shared<BTreeSet<IpNet>>,
}

impl Blocks {
    pub(super) fn of(plan: &Plan) -> Shared<Self> {
        Self { file: plan.blocked.clone(), fed: plan.fed.clone() }.into()
    }
}

/// What is in both has no end: the feed's entry has none.
impl Planned for Blocks {
    fn all(&self) -> impl Iterator<Item = (Target, Terms<'_>)> {
        let file = self.file.iter().filter(|(net, _)| !self.fed.contains(*net));
        let file = file.map(|(net, block)| (blocked(*net), of_block(block)));
        file.chain(self.fed.iter().map(|net| (blocked(*net), ENDLESS)))
    }

    fn get(&self, target: Target) -> Option<Terms<'_>> {
        match target.port {
            None if self.fed.contains(&target.net) => Some(ENDLESS),
            None => self.file.get(&target.net).map(of_block),
            Some(_) => None,
        }
    }

    fn range(&self, targets: RangeInclusive<Target>) -> impl Iterator<Item = (Target, Terms<'_>)> {
        let nets = targets.start().net..=targets.end().net;
        let file = self.file.range(nets.clone()).filter(|(net, _)| !self.fed.contains(*net));
        let file = file.map(|(net, block)| (blocked(*net), of_block(block)));
        file.chain(self.fed.range(nets).map(|net| (blocked(*net), ENDLESS)))
    }
}

const ENDLESS: Terms<'static> = Terms { until: None, class: None };

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
