//! A filter without a kernel, for tests: it writes down what it was asked.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use ipnet::IpNet;
use sipguard_common::{
    abi::{Count, Counters, Endpoint, Learned, Policy, Replies, Tap, TapCounts},
    method::Method,
    rule::Rule,
};

use super::{Daemon, Filter, FilterError, Host, Place};
use crate::{
    kernel::{
        Acquaintance, Attached, AttachedMode, BanEntry, EgressMode, EventLosses, InterfaceCounters,
        InterfaceReplies, PastBan, SourceTally, Standing, TapWish, Tended, VerifiedEntry,
    },
    offender::Offender,
    policy::{Plan, Posture, Target},
};

/// What the fake was asked for, in words, and whether it refuses.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) calls: Vec<String>,
    pub(crate) refuses: bool,
    /// Whom it has no room for.
    pub(crate) no_room_for: Option<IpNet>,
    /// The bans that it holds.
    pub(crate) bans: Vec<BanEntry>,
    /// Whether nobody is banned any more who was.
    pub(crate) lifted: bool,
    /// Who is verified.
    pub(crate) verified: Vec<VerifiedEntry>,
    /// What it knows of every endpoint.
    pub(crate) acquaintance: Acquaintance,
    /// What it knows of every address.
    pub(crate) standing: Standing,
    /// Who has sent what.
    pub(crate) tallies: Vec<SourceTally>,
    /// What has happened to its interfaces since it was asked.
    pub(crate) tended: Vec<Tended>,
}

/// The fake, shared with the test that looks into it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake(Arc<Mutex<Asked>>);

impl Fake {
    pub(crate) fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap()
    }

    /// What it was asked for since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.asked().calls)
    }

    fn note(&self, call: String) -> Result<(), FilterError> {
        let mut asked = self.asked();
        asked.calls.push(call);
        if asked.refuses { Err("the list is full".into()) } else { Ok(()) }
    }

    /// A daemon that protects eth0 with what stands in `config`.
    pub(crate) fn daemon(&self, config: &std::path::Path) -> Daemon {
        let place = Place { config: config.to_owned(), read_host: host };
        let (plan, _) = place.load().unwrap();
        let attached = Attached {
            name: "eth0".to_owned(),
            ifindex: 2,
            mode: AttachedMode::Native,
            note: None,
            egress: EgressMode::Tcx,
            taken_over: false,
            unprotected: None,
        };
        Daemon::new(Box::new(self.clone()), place, plan, vec![attached])
    }
}

/// A host whose addresses the tests know.
fn host() -> std::io::Result<Host> {
    let address = |text: &str| text.parse().map_err(std::io::Error::other);
    Ok(Host { addresses: vec![address("10.0.0.2")?], gateways: vec![address("10.0.0.1")?] })
}

impl Filter for Fake {
    fn apply(&mut self, plan: &Plan) -> Result<(), FilterError> {
        let nets: Vec<String> =
            plan.blocked.keys().chain(&*plan.fed).map(ToString::to_string).collect();
        let posture = match plan.posture {
            Posture::Guarded => "",
            other => other.name(),
        };
        self.note(format!("apply {posture}{}", nets.join(" ")))
    }

    fn block(&mut self, net: IpNet, ttl: Option<Duration>) -> Result<(), FilterError> {
        self.note(format!("block {net} {ttl:?}"))
    }

    fn unblock(&mut self, net: IpNet) -> Result<(), FilterError> {
        self.note(format!("unblock {net}"))
    }

    fn decide(&mut self, changes: &[(IpNet, Option<Duration>)]) -> Result<Vec<IpNet>, FilterError> {
        for (net, left) in changes {
            // Rounded, for a moment has passed.
            let left = left.map(|left| left.as_secs_f64().round());
            self.note(format!("decide {net} {left:?}"))?;
        }
        let full = self.asked().no_room_for;
        Ok(changes.iter().map(|(net, _)| *net).filter(|net| Some(*net) == full).collect())
    }

    fn allow(&mut self, target: Target, ttl: Option<Duration>) -> Result<(), FilterError> {
        self.note(format!("allow {target} {ttl:?}"))
    }

    fn disallow(&mut self, target: &Target) -> Result<(), FilterError> {
        self.note(format!("disallow {target}"))
    }

    fn counters(&self) -> Result<Vec<InterfaceCounters>, FilterError> {
        let mut counters = Counters::ZERO;
        counters.rules[Rule::Stranger as usize] = Count { packets: 5, bytes: 500 };
        counters.would[Rule::Options as usize] = Count { packets: 2, bytes: 200 };
        Ok(vec![InterfaceCounters { name: "eth0".to_owned(), counters }])
    }

    fn signature_hits(&self) -> Result<BTreeMap<String, u64>, FilterError> {
        Ok(BTreeMap::from([("first".to_owned(), 0), ("second".to_owned(), 7)]))
    }

    fn signature_name(&self, slot: u32) -> Option<&str> {
        (slot == 1).then_some("first")
    }

    fn event_losses(&self) -> Result<EventLosses, FilterError> {
        Ok(EventLosses { suppressed: 11, lost: 1 })
    }

    fn bans(&self) -> Result<Vec<BanEntry>, FilterError> {
        Ok(self.asked().bans.clone())
    }

    fn unban(&mut self, net: IpNet) -> Result<usize, FilterError> {
        let mut asked = self.asked();
        let before = asked.bans.len();
        asked.bans.retain(|ban| !super::nets::overlap(ban.who.source, net));
        Ok(before - asked.bans.len())
    }

    fn lift_ban(&mut self, who: Offender) -> Result<bool, FilterError> {
        self.note(format!("lift {who}")).map(|()| true)
    }

    fn holds_ban(&self, _who: Offender) -> Result<bool, FilterError> {
        Ok(!self.asked().lifted)
    }

    fn extend_ban(&mut self, who: Offender, until_ns: u64) -> Result<bool, FilterError> {
        self.note(format!("extend {who} to {} s", until_ns / 1_000_000_000)).map(|()| true)
    }

    fn restore_ban(&mut self, ban: &PastBan<'_>) -> Result<bool, FilterError> {
        let PastBan { who, left, rule, signature, .. } = ban;
        // Rounded, for a moment has passed.
        let left = (left.as_secs_f64()).round();
        self.note(format!("restore {who} {left} s {} {signature:?}", rule.name())).map(|()| true)
    }

    fn offender(&self, key: Endpoint) -> Offender {
        let address = IpAddr::V6(Ipv6Addr::from(key.address.octets())).to_canonical();
        let port = (!key.is_whole()).then(|| (u16::from_be_bytes(key.port()), key.protocol()));
        Offender { source: address.into(), port }
    }

    fn verified(&self) -> Result<Vec<VerifiedEntry>, FilterError> {
        Ok(self.asked().verified.clone())
    }

    fn acquaintance(
        &self,
        _address: IpAddr,
        _port: Option<(u16, u8)>,
        _policy: &Policy,
    ) -> Result<Acquaintance, FilterError> {
        Ok(self.asked().acquaintance)
    }

    fn standing(&self, _address: IpAddr, _policy: &Policy) -> Result<Standing, FilterError> {
        Ok(self.asked().standing.clone())
    }

    fn replies(&self) -> Result<Vec<InterfaceReplies>, FilterError> {
        let mut replies = Replies::ZERO;
        replies.by[4][Method::Register as usize] = 3;
        replies.by[2][Method::Register as usize] = 1;
        replies.requests[Method::Options as usize] = 2;
        replies.learned[Learned::Failure as usize] = 3;
        replies.other = 4;
        let other = InterfaceReplies { name: "other".to_owned(), replies: Replies::ZERO };
        Ok(vec![other, InterfaceReplies { name: "eth0".to_owned(), replies }])
    }

    fn tallies(&self) -> Vec<SourceTally> {
        self.asked().tallies.clone()
    }

    fn set_tap(&mut self, tap: Tap, wish: Option<&TapWish>) -> Result<(), FilterError> {
        self.note(match wish {
            Some(wish) => format!("open {tap:?}: {wish:?}"),
            None => format!("close {tap:?}"),
        })
    }

    fn tap_counts(&self) -> Result<TapCounts, FilterError> {
        Ok(TapCounts { held_back: [3, 0], lost: [1, 0] })
    }

    fn tend(&mut self) -> Result<Vec<Tended>, FilterError> {
        Ok(std::mem::take(&mut self.asked().tended))
    }

    fn keeps(&self) -> bool {
        false
    }

    fn leave(&mut self) {
        self.asked().calls.push("leave".to_owned());
    }
}
