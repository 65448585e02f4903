//! The plan: what the maps of the kernel program shall hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    mem::offset_of,
    ops::RangeInclusive,
    path::PathBuf,
    ptr, slice,
    sync::Arc,
};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;
use sipguard_common::{
    abi::{self, CPS_CLASSES, Keepalive, Policy},
    automaton::{self, FIELD_SLOTS, MAX_SIGNATURES, NO_ROOT},
    bucket::Limit,
    method::{BUCKETS, BUDGETS, Budget, Class},
};

use super::{
    alerts::AlertSettings,
    auth::AuthSettings,
    choices::{FailMode, Fragments, Mode, OptionsRule, Posture, Stealth},
    cps::CpsClass,
    crowdsec::CrowdsecSettings,
    events::EventSettings,
    feeds::FeedSettings,
    limits::{Limits, quarter},
    mirror::MirrorSettings,
    modes::{Modes, RuleMode},
    shared::Shared,
    signature::Signature,
    target::Target,
    web::WebSettings,
};

/// Entries of trusted.toml at most.
pub const MAX_TRUSTED: usize = abi::MAX_TRUSTED;

/// Entries of blacklist.toml at most.
pub const MAX_BLOCKED: usize = abi::MAX_BLOCKED;

/// Some ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(BTreeSet<u16>);

impl Ports {
    /// Every port, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the kernel program looks them up.
    fn bits(&self) -> [u64; 1024] {
        let mut bits = [0; 1024];
        for port in self.iter() {
            bits[usize::from(port >> 6)] |= 1 << (port & 63);
        }
        bits
    }

    /// Runs of consecutive ports.
    fn ranges(&self) -> Vec<RangeInclusive<u16>> {
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        for port in self.iter() {
            match ranges.last_mut() {
                Some(last) if port.checked_sub(1) == Some(*last.end()) => {
                    *last = *last.start()..=port;
                }
                _ => ranges.push(port..=port),
            }
        }
        ranges
    }
}

impl FromIterator<u16> for Ports {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        Self(ports.into_iter().collect())
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.ranges().iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if range.start() == range.end() {
                write!(f, "{}", range.start())?;
            } else {
                write!(f, "{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

/// A peer of trusted.toml.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Peer {
    pub name: String,
    /// What its calls are held to, all its addresses together; `None` is
    /// nothing.
    pub class: Option<CpsClass>,
}

/// An entry of blacklist.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Shared by all addresses of an entry.
    pub reason: Option<Arc<str>>,
    /// When the block ends; `None` means never.
    pub until: Option<Timestamp>,
}

/// The whole desired policy.
pub struct Plan {
    /// Names of interfaces to protect. May be empty: then the command line
    /// names them.
    pub interfaces: Vec<String>,
    pub mode: Mode,
    /// Where the control socket is made.
    pub socket: PathBuf,
    /// Where history is kept.
    pub state: PathBuf,
    /// The protected ports.
    pub ports: Ports,
    /// TCP ports of TLS: protected, but never read.
    pub tls_ports: Ports,
    /// Beginnings of payloads that are keepalives, 4 to 16 bytes each.
    pub keepalives: Vec<Vec<u8>>,
    pub fail_mode: FailMode,
    pub posture: Posture,
    pub options: OptionsRule,
    pub fragments: Fragments,
    /// As written, like `options`, `auth` and `limits`: postures open and
    /// attack change them in [`Self::policy`].
    pub stealth: Stealth,
    pub auth: AuthSettings,
    pub modes: Modes,
    pub limits: Limits,
    pub events: EventSettings,
    pub mirror: MirrorSettings,
    pub alerts: Arc<AlertSettings>,
    pub web: WebSettings,
    pub trusted: Shared<BTreeMap<Target, Peer>>,
    pub blocked: Shared<BTreeMap<IpNet, Block>>,
    pub crowdsec: CrowdsecSettings,
    /// The feeds, by name.
    pub feeds: BTreeMap<String, FeedSettings>,
    /// What they hold now. The files do not say: whoever reads the feeds puts
    /// it in.
    pub fed: Shared<BTreeSet<IpNet>>,
    /// Protected destinations; with none, every destination is protected.
    pub protected: BTreeSet<IpNet>,
    /// The enabled ones; the index is the number that the automaton reports.
    pub signatures: Vec<Signature>,
    /// What the kernel program reads, made of the settings above.
    pub policy: Box<Policy>,
}

/// Bytes of a [`Policy`] hold no padding: [`Plan::policy_bytes`] relies on it.
const _: () = {
    let head = 10 * size_of::<u32>()
        + 9 * size_of::<u64>()
        + size_of::<abi::Auth>()
        + (2 * BUCKETS + BUDGETS + CPS_CLASSES + 4) * size_of::<Limit>()
        + abi::KEEPALIVES * size_of::<Keepalive>()
        + 2048 * size_of::<u64>()
        + MAX_SIGNATURES * size_of::<u16>();
    let table = FIELD_SLOTS * size_of::<u32>()
        + 4 * size_of::<u32>()
        + automaton::MAX_NOTES * size_of::<u64>()
        + automaton::MAX_JOINED * (size_of::<u64>() + size_of::<u32>())
        + 256
        + automaton::TABLE_LEN * size_of::<u16>();
    assert!(size_of::<automaton::Table>() == table);
    assert!(size_of::<Policy>() == head + table);
};

impl Plan {
    /// The policy's bytes, as the kernel's map takes them.
    #[must_use]
    pub fn policy_bytes(&self) -> &[u8] {
        let policy: *const Policy = ptr::from_ref(&*self.policy);
        // SAFETY: the whole value is initialised, has no padding (asserted
        // above) and lives as long as the slice.
        unsafe { slice::from_raw_parts(policy.cast(), size_of::<Policy>()) }
    }

    /// Takes over the settings that can be told from a policy's bytes: posture,
    /// modes, and what a source is.
    pub(crate) fn read_policy(&mut self, bytes: &[u8]) {
        let word = |place: usize| {
            let bytes = bytes.get(place..place + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_ne_bytes(bytes.unwrap_or_default())
        };
        let posture = word(offset_of!(Policy, posture)).to_ne_bytes();
        let posture = u32::from_ne_bytes([posture[0], posture[1], posture[2], posture[3]]);
        self.posture =
            Posture::ALL.into_iter().find(|one| one.abi() == posture).unwrap_or_default();
        let enforced = word(offset_of!(Policy, enforced));
        let observed = word(offset_of!(Policy, observed));
        self.modes = Modes::of_bits(enforced, observed);
        let mask = offset_of!(Policy, source_mask);
        self.policy.source_mask = [word(mask), word(mask + 8)];
    }

    /// Writes the settings, but not the signatures, into [`Self::policy`].
    pub(crate) fn write_settings(&mut self) {
        self.write_rules();
        self.write_limits();
        let policy = &mut *self.policy;
        policy.keepalives = Default::default();
        for (slot, bytes) in policy.keepalives.iter_mut().zip(&self.keepalives) {
            *slot = keepalive(bytes);
        }
        policy.ports = self.ports.bits();
        policy.tls_ports = self.tls_ports.bits();
    }

    fn write_rules(&mut self) {
        let policy = &mut *self.policy;
        policy.abi = abi::ABI_VERSION;
        policy.posture = self.posture.abi();
        policy.options = match self.posture {
            Posture::Open => abi::options::PASS,
            Posture::Attack => abi::options::DROP,
            Posture::Guarded | Posture::Closed => self.options.abi(),
        };
        policy.fragments = self.fragments.abi();
        policy.enforced = self.modes.bits(RuleMode::Enforce);
        policy.observed = self.modes.bits(RuleMode::Observe);
        policy.stealth = match self.posture {
            Posture::Open => abi::stealth::ALL,
            _ => self.stealth.abi(),
        };
        let auth = self.auth.under(self.posture);
        policy.auth = auth.abi();
        policy.ban_ns = auth.ban.nanoseconds();
        policy.events_rule = self.events.rule.limit();
        policy.events_source = self.events.source.limit();
    }

    fn write_limits(&mut self) {
        let (policy, limits) = (&mut *self.policy, &self.limits);
        policy.source_mask = mask(limits.source_prefix_v6);
        policy.subnet_mask = mask(limits.subnet.prefix_v6);
        // IPv4 is held as mapped IPv6, behind 96 bits.
        [_, policy.subnet_mask_v4] = mask(96 + limits.subnet.prefix_v4);
        let is_open = self.posture == Posture::Open;
        let [bytes, line, lines] =
            limits.message.named().map(|(_, max)| max.filter(|_| !is_open).unwrap_or(0));
        (policy.max_message, policy.max_line, policy.max_lines) = (bytes, line, lines);
        policy.max_ports = if is_open { 0 } else { limits.ports.bits() };
        policy.ports_window_ns = limits.ports.window.nanoseconds();
        let as_posture = |limit: Limit, is_for_attacks: bool| match self.posture {
            Posture::Open => Limit::UNLIMITED,
            Posture::Attack if is_for_attacks => quarter(limit),
            _ => limit,
        };
        for class in Class::ALL {
            // Calls that are there already go on as before.
            let is_new = !matches!(class, Class::Dialog | Class::Response | Class::Keepalive);
            policy.limits[class as usize] = as_posture(limits.stranger(class).limit(), is_new);
        }
        for budget in Budget::ALL {
            let limit = limits.strangers[budget as usize].limit();
            let is_new = matches!(budget, Budget::Total | Budget::Syn | Budget::Other);
            policy.strangers[budget as usize] = as_posture(limit, is_new);
        }
        policy.subnet = as_posture(limits.subnet.total.limit(), true);
        policy.reserve = as_posture(limits.reserve.limit(), true);
        for (slot, limit) in policy.verified.iter_mut().zip(limits.verified) {
            *slot = as_posture(limit.limit(), false);
        }
        for class in CpsClass::ALL {
            policy.cps[usize::from(class.abi())] = class.limit();
        }
        if policy.options == abi::options::PASS {
            policy.limits[Class::Options as usize] = Limit::UNLIMITED;
        }
    }
}

impl Default for Plan {
    /// What empty files give.
    fn default() -> Self {
        let mut plan = Self {
            interfaces: Vec::new(),
            mode: Mode::default(),
            socket: PathBuf::from("/run/sipguard/control.sock"),
            state: PathBuf::from("/var/lib/sipguard"),
            ports: [5060].into_iter().collect(),
            tls_ports: [5061].into_iter().collect(),
            keepalives: Vec::new(),
            fail_mode: FailMode::default(),
            posture: Posture::default(),
            options: OptionsRule::default(),
            fragments: Fragments::default(),
            stealth: Stealth::default(),
            auth: AuthSettings::default(),
            modes: Modes::default(),
            limits: Limits::default(),
            events: EventSettings::default(),
            mirror: MirrorSettings::default(),
            alerts: Arc::default(),
            web: WebSettings::default(),
            trusted: Shared::default(),
            blocked: Shared::default(),
            crowdsec: CrowdsecSettings::default(),
            feeds: BTreeMap::new(),
            fed: Shared::default(),
            protected: BTreeSet::new(),
            signatures: Vec::new(),
            policy: zeroed_policy(),
        };
        plan.policy.automaton.roots = [NO_ROOT; FIELD_SLOTS];
        plan.policy.automaton.note_from = u32::from(automaton::DEAD) + 1;
        plan.policy.automaton.accept_from = u32::from(automaton::DEAD) + 1;
        plan.write_settings();
        plan
    }
}

impl fmt::Debug for Plan {
    /// Without the policy, which has a million numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("interfaces", &self.interfaces)
            .field("mode", &self.mode)
            .field("socket", &self.socket)
            .field("state", &self.state)
            .field("ports", &self.ports)
            .field("keepalives", &self.keepalives)
            .field("tls_ports", &self.tls_ports)
            .field("fail_mode", &self.fail_mode)
            .field("posture", &self.posture)
            .field("options", &self.options)
            .field("fragments", &self.fragments)
            .field("stealth", &self.stealth)
            .field("auth", &self.auth)
            .field("modes", &self.modes)
            .field("limits", &self.limits)
            .field("events", &self.events)
            .field("mirror", &self.mirror)
            .field("alerts", &self.alerts)
            .field("web", &self.web)
            .field("trusted", &self.trusted)
            .field("blocked", &self.blocked)
            .field("crowdsec", &self.crowdsec)
            .field("feeds", &self.feeds)
            .field("protected", &self.protected)
            .field("signatures", &self.signatures)
            .finish_non_exhaustive()
    }
}

/// Over 3 MiB: made on the heap, never copied over a stack.
fn zeroed_policy() -> Box<Policy> {
    // SAFETY: a Policy is made of integers, for which all bits zero is valid.
    unsafe { Box::<Policy>::new_zeroed().assume_init() }
}

/// The first `bits` of an address, as two words in memory order.
fn mask(bits: u8) -> [u64; 2] {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0).to_be_bytes();
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = mask;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

/// The kernel's form of a keepalive of up to 16 bytes.
fn keepalive(text: &[u8]) -> Keepalive {
    let mut bytes = [[0; 8]; 2];
    let mut mask = [[0; 8]; 2];
    for (i, byte) in text.iter().take(16).enumerate() {
        bytes[i / 8][i % 8] = *byte;
        mask[i / 8][i % 8] = 0xff;
    }
    Keepalive { bytes: bytes.map(u64::from_ne_bytes), mask: mask.map(u64::from_ne_bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sipguard_common::{abi::Address, message::is_configured_keepalive};

    #[test]
    fn default_policy_protects_5060_and_matches_nothing() {
        let plan = Plan::default();
        assert_eq!(plan.policy.abi, abi::ABI_VERSION);
        let set: u32 = plan.policy.ports.iter().map(|word| word.count_ones()).sum();
        assert_eq!(set, 1);
        assert_eq!(plan.policy.ports[5060 >> 6], 1 << (5060 & 63));
        assert_eq!(plan.policy.automaton.roots, [NO_ROOT; FIELD_SLOTS]);
        // State 0 must not be an accepting one.
        assert_eq!(plan.policy.automaton.accept_from, 1);
        assert_eq!(plan.policy.limits[Class::Register as usize].interval_ns, 200_000_000);
    }

    #[test]
    fn bytes_are_the_policy() {
        let mut plan = Plan::default();
        let bytes = plan.policy_bytes();
        assert_eq!(bytes.len(), size_of::<Policy>());
        assert_eq!(bytes[..4], abi::ABI_VERSION.to_ne_bytes());
        if let Some(last) = plan.policy.automaton.next.last_mut() {
            *last = 0xbeef;
        }
        assert_eq!(plan.policy_bytes()[size_of::<Policy>() - 2..], 0xbeef_u16.to_ne_bytes());
    }

    #[test]
    fn posture_open_limits_nobody() {
        let mut plan = Plan { posture: Posture::Open, ..Plan::default() };
        plan.write_settings();
        assert_eq!(plan.policy.posture, abi::posture::OPEN);
        assert_eq!(plan.policy.options, abi::options::PASS);
        assert!(plan.policy.limits.iter().all(|limit| limit.interval_ns == 0));
    }

    #[test]
    fn source_mask_keeps_the_first_bits() {
        let address = [0xff; 16];
        for bits in 1..=128u8 {
            let key = Address::from_octets(address).source(mask(bits)).octets();
            let ones: u32 = key.iter().map(|byte| byte.count_ones()).sum();
            assert_eq!(ones, u32::from(bits));
            assert_eq!(u128::from_be_bytes(key).leading_ones(), u32::from(bits));
        }
        let v4 = Address::v4([192, 0, 2, 1]);
        assert_eq!(v4.source(mask(1)), v4);
    }

    #[test]
    fn keepalives_match_their_prefix_only() {
        let plan = {
            let mut plan = Plan {
                keepalives: vec![b"HELLO".to_vec(), b"0123456789abcdef".to_vec()],
                ..Plan::default()
            };
            plan.write_settings();
            plan
        };
        let says = |text: &[u8; 16]| {
            let (word0, word1) = text.split_at(8);
            is_configured_keepalive(
                u64::from_ne_bytes(word0.try_into().unwrap()),
                u64::from_ne_bytes(word1.try_into().unwrap()),
                &plan.policy.keepalives,
            )
        };
        assert!(says(b"HELLO from a NAT"));
        assert!(says(b"0123456789abcdef"));
        assert!(!says(b"HELL0 from a NAT"));
        assert!(!says(b"0123456789abcdeF"));
        assert!(!says(&[0; 16]));
    }

    #[test]
    fn ports_show_as_ranges() {
        let ports: Ports = [5080, 5060, 5061, 5062, 65535, 1].into_iter().collect();
        assert_eq!(ports.to_string(), "1, 5060-5062, 5080, 65535");
    }
}
