//! A filter without a kernel, for tests: it writes down what it was asked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use ipnet::IpNet;
use sipguard_common::{
    abi::{Count, Counters},
    rule::Rule,
};

use super::{Daemon, Filter, FilterError, Host, Place};
use crate::{
    kernel::{Attached, AttachedMode, BanEntry, EgressMode, EventLosses, InterfaceCounters},
    policy::{Plan, Posture, Target},
};

/// What the fake was asked for, in words, and whether it refuses.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) calls: Vec<String>,
    pub(crate) refuses: bool,
    /// The bans that it holds.
    pub(crate) bans: Vec<BanEntry>,
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
        let nets: Vec<String> = plan.blocked.keys().map(ToString::to_string).collect();
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
        asked.bans.retain(|ban| !super::nets::overlap(ban.source, net));
        Ok(before - asked.bans.len())
    }

    fn detach(&mut self) {
        self.asked().calls.push("detach".to_owned());
    }
}
