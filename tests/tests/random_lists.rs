//! The lists against a list of entries that is read from end to end: random
//! entries and packets, over reloads, additions, removals and expiries.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use sipguard::{
    kernel::TestKernel,
    policy::{Block, CpsClass, Peer, Plan, Target},
};
use sipguard_common::{abi::Address, networks, rule::Rule};
use tests::{kernel::load_or_skip, packet::Packet, random::Random, sip::Message};

const STEPS: usize = 2_000;
const PACKETS: usize = 12;
const HOUR_NS: u64 = 3_600_000_000_000;
const HOURS: u64 = 4;

/// The program looks behind four entries that have ended; the daemon removes
/// them within a second or so. Here they stay.
const MAX_ENDING: usize = 4;

/// What one list holds, by its makers. Ends are in hours from the start.
#[derive(Default)]
struct List {
    file: BTreeMap<Target, Option<u64>>,
    operator: BTreeMap<Target, Option<u64>>,
}

impl List {
    fn all(&self) -> impl Iterator<Item = (&Target, &Option<u64>)> {
        self.file.iter().chain(&self.operator)
    }

    /// Targets that hold for a source, half an hour after this hour.
    fn holding(&self, source: SocketAddr, hour: u64) -> impl Iterator<Item = Target> {
        let holds = move |ends: &Option<u64>| ends.is_none_or(|ends| hour < ends);
        self.all().filter(move |(_, ends)| holds(ends)).map(|(target, _)| *target).filter(
            move |target| {
                target.net.contains(&source.ip())
                    && target.port.is_none_or(|port| port == source.port())
            },
        )
    }

    fn ending(&self) -> usize {
        self.all().filter(|(_, ends)| ends.is_some()).count()
    }

    /// What the index must say of an IPv4 /24, where `bits` are to be had.
    fn index(&self, of: Ipv4Net, classed: impl Fn(&Target) -> bool, bits: bool) -> u8 {
        let touching = || {
            self.all().filter(|(target, _)| match target.net {
                IpNet::V4(net) => net.contains(&of) || of.contains(&net),
                IpNet::V6(_) => false,
            })
        };
        // An operator's entry has no class of its own, be it the same target.
        let covers = |(target, ends): (&Target, &Option<u64>)| {
            target.port.is_none() && ends.is_none() && target.net.contains(&IpNet::V4(of))
        };
        if touching().count() == 0 {
            networks::NONE
        } else if touching().any(covers) && !touching().any(|(target, _)| classed(target)) {
            networks::WHOLE
        } else if bits && touching().all(|(_, ends)| ends.is_none()) {
            networks::BITS
        } else {
            networks::LOOK
        }
    }
}

struct World {
    random: Random,
    trusted: List,
    blocked: List,
    classes: BTreeMap<Target, (CpsClass, String)>,
    hour: u64,
}

impl World {
    /// Few addresses, so that entries meet.
    fn address(&mut self) -> IpAddr {
        let random = &mut self.random;
        let low = *random.pick(&[0, 1, 2, 127, 128, 129, 254, 255]);
        if random.once_in(4) {
            let head = *random.pick(&[0x2001_0db8_u128, 0x2001_0db9, 0x2a00_0001]);
            let middle = random.below(3) as u128;
            return IpAddr::V6(Ipv6Addr::from(head << 96 | middle << 64 | u128::from(low)));
        }
        let first = *random.pick(&[10, 11, 198]);
        let second = *random.pick(&[0, 15, 16, 17, 255]);
        let third = *random.pick(&[0, 1, 2, 255]);
        IpAddr::V4(Ipv4Addr::new(first, second, third, low))
    }

    fn port(&mut self) -> u16 {
        *self.random.pick(&[5060, 5070])
    }

    fn net(&mut self) -> IpNet {
        let net = match self.address() {
            IpAddr::V4(address) => {
                let any = self.random.below(33) as u8;
                let wide = *self.random.pick(&[8, 11, 12, 13, 20, 22, 23, 24, any]);
                let narrow = *self.random.pick(&[25, 26, 28, 30, 31, 32]);
                // Where a wide one holds, narrow ones do not show.
                let bits = if self.random.once_in(3) { wide } else { narrow };
                Ipv4Net::new(address, bits).map(IpNet::V4)
            }
            IpAddr::V6(address) => {
                let bits = *self.random.pick(&[8, 31, 32, 33, 64, 127, 128]);
                Ipv6Net::new(address, bits).map(IpNet::V6)
            }
        };
        net.expect("a net").trunc()
    }

    fn target(&mut self) -> Target {
        let net = self.net();
        let port = self.random.once_in(3).then(|| self.port());
        Target { net, port }
    }

    fn plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        self.classes.clear();
        self.trusted.file.clear();
        self.blocked.file.clear();
        for _ in 0..self.random.below(8) {
            let target = self.target();
            let name = format!("peer {}", self.random.below(5));
            // The name decides, for it stands for one section of the file.
            let class = match name.as_bytes() {
                [.., b'0'] => Some(CpsClass::Small),
                [.., b'1'] => Some(CpsClass::Premium),
                _ => None,
            };
            self.classes.remove(&target);
            if let Some(class) = class {
                self.classes.insert(target, (class, name.clone()));
            }
            self.trusted.file.insert(target, None);
            plan.trusted.insert(target, Peer { name, class });
        }
        for _ in 0..self.random.below(12) {
            let net = self.net();
            let target = Target { net, port: None };
            let may_end = self.blocked.ending() < MAX_ENDING && self.random.once_in(4);
            let ends = may_end.then(|| 1 + self.random.below(HOURS as usize) as u64);
            // Those that have ended are left out when the file is read; here
            // the clock moves without one.
            let until = ends.map(|hours| Timestamp::now() + Duration::from_nanos(hours * HOUR_NS));
            self.blocked.file.insert(target, ends);
            plan.blocked.insert(net, Block { reason: None, until });
        }
        plan
    }

    fn judge(&self, source: SocketAddr) -> Rule {
        if self.trusted.holding(source, self.hour).next().is_some() {
            Rule::Trusted
        } else if self.blocked.holding(source, self.hour).next().is_some() {
            Rule::Blocked
        } else {
            Rule::Options
        }
    }

    /// The class and the name that a trusted source is counted under.
    fn class(&self, source: SocketAddr) -> Option<&(CpsClass, String)> {
        let mut holding: Vec<Target> = self.trusted.holding(source, self.hour).collect();
        holding.sort_by_key(|target| {
            let bits = target.net.prefix_len();
            (!target.is_address(), target.port.is_some(), 255 - bits)
        });
        self.classes.get(holding.first()?)
    }

    /// Adds or removes an entry of the operator, or reloads.
    fn step(&mut self, kernel: &mut TestKernel) {
        let kernel = kernel.kernel();
        let trust = self.random.once_in(2);
        match self.random.below(20) {
            0 => kernel.apply(&self.plan()).expect("a policy"),
            1..13 => {
                let mut target = self.target();
                let list = if trust { &mut self.trusted } else { &mut self.blocked };
                let may_end = list.ending() < MAX_ENDING;
                let ends = (may_end && self.random.once_in(3))
                    .then(|| 1 + self.random.below(HOURS as usize) as u64);
                let left = ends.map(|hours| Duration::from_nanos(hours * HOUR_NS));
                if trust {
                    kernel.allow(target, left).expect("an allowance");
                } else {
                    target.port = None;
                    kernel.block(target.net, left).expect("a block");
                }
                list.operator.insert(target, ends);
                self.keep_few(kernel, trust);
            }
            _ => self.remove_one(kernel, trust),
        }
    }

    fn keep_few(&mut self, kernel: &mut sipguard::kernel::Kernel, trust: bool) {
        while (if trust { &self.trusted } else { &self.blocked }).operator.len() > 20 {
            self.remove_one(kernel, trust);
        }
    }

    fn remove_one(&mut self, kernel: &mut sipguard::kernel::Kernel, trust: bool) {
        let list = if trust { &mut self.trusted } else { &mut self.blocked };
        let nth = self.random.below(list.operator.len());
        let Some(target) = list.operator.keys().nth(nth).copied() else { return };
        list.operator.remove(&target);
        if trust {
            kernel.disallow(&target).expect("no allowance");
        } else {
            kernel.unblock(target.net).expect("no block");
        }
    }
}

fn options(source: SocketAddr) -> Vec<u8> {
    let server = if source.is_ipv4() { "203.0.113.1:5060" } else { "[2001:db8:2::1]:5060" };
    let payload = Message::request("OPTIONS", "sip:100@203.0.113.1").build();
    Packet::udp(&source.to_string(), server).payload(payload).build()
}

/// The kernel's time now: the end of a block of an hour, an hour before.
fn now(kernel: &mut TestKernel) -> u64 {
    let net = "192.0.2.1/32".parse().expect("a net");
    kernel.kernel().block(net, Some(Duration::from_nanos(HOUR_NS))).expect("a block");
    let until = kernel.blocked_until(net).expect("an answer").expect("an entry");
    kernel.kernel().unblock(net).expect("no block");
    until - HOUR_NS
}

/// Keeps this thread on the CPU that it runs on.
fn stay_on_one_cpu() -> usize {
    let cpu = nix::sched::sched_getcpu().expect("a CPU");
    let mut set = nix::sched::CpuSet::new();
    set.set(cpu).expect("a CPU");
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set).expect("one CPU");
    cpu
}

#[test]
fn the_kernels_lists_equal_a_list_of_entries() {
    let Some(mut kernel) = load_or_skip() else { return };
    let cpu = stay_on_one_cpu();
    let start = now(&mut kernel);
    let mut world = World {
        random: Random::new(0x1157),
        trusted: List::default(),
        blocked: List::default(),
        classes: BTreeMap::new(),
        hour: 0,
    };
    kernel.apply(&world.plan()).expect("a policy");
    let mut states = HashMap::<u8, u64>::new();
    let (mut seen, mut buckets) = (HashMap::<Rule, u64>::new(), HashMap::<String, u32>::new());
    for step in 0..STEPS {
        world.step(&mut kernel);
        world.hour = world.random.below(HOURS as usize + 1) as u64;
        kernel.set_clock(start + world.hour * HOUR_NS + HOUR_NS / 2).expect("a clock");
        buckets.retain(|name, _| world.classes.values().any(|(_, other)| other == name));
        for _ in 0..PACKETS {
            let source = SocketAddr::new(world.address(), world.port());
            let rule = kernel.run(&options(source)).expect("a run").rule;
            assert_eq!(rule, world.judge(source), "step {step}, {source}");
            *seen.entry(rule).or_default() += 1;
            if rule == Rule::Trusted {
                let (class, bucket) = kernel.trusted_as(cpu).expect("scratch memory");
                let expected = world.class(source);
                let number = expected.map_or(0, |(class, _)| u32::from(class.abi()));
                assert_eq!(class, number, "step {step}, class of {source}");
                if let Some((_, name)) = expected {
                    let known = *buckets.entry(name.clone()).or_insert(bucket);
                    assert_eq!(known, bucket, "step {step}, bucket of {name}");
                }
            }
            if let IpAddr::V4(address) = source.ip() {
                let byte = kernel.index_of(Address::v4(address.octets())).expect("an index");
                let net = Ipv4Net::new(address, 24).expect("a net").trunc();
                let trust =
                    world.trusted.index(net, |target| world.classes.contains_key(target), false);
                let blocks = world.blocked.index(net, |_| false, true);
                *states.entry(blocks).or_default() += 1;
                let of_byte = (networks::trusted(byte), networks::blocked(byte));
                assert_eq!(of_byte, (trust, blocks), "step {step}, index of {net}");
            }
        }
        let mut numbers: Vec<u32> = buckets.values().copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), buckets.len(), "step {step}: two peers share a bucket");
    }
    for rule in [Rule::Trusted, Rule::Blocked, Rule::Options] {
        assert!(seen.get(&rule).is_some_and(|count| *count > 1_000), "{seen:?}");
    }
    for state in [networks::NONE, networks::WHOLE, networks::LOOK, networks::BITS] {
        assert!(states.get(&state).is_some_and(|count| *count > 500), "{states:?}");
    }
}

/// What was added and removed again leaves nothing to look up, in either
/// family.
#[test]
fn an_index_without_entries_is_empty() {
    let Some(mut kernel) = load_or_skip() else { return };
    let mut world = World {
        random: Random::new(2),
        trusted: List::default(),
        blocked: List::default(),
        classes: BTreeMap::new(),
        hour: 0,
    };
    for _ in 0..200 {
        world.step(&mut kernel);
    }
    kernel.apply(&Plan::default()).expect("a policy");
    for trust in [true, false] {
        for _ in 0..20 {
            world.remove_one(kernel.kernel(), trust);
        }
    }
    for _ in 0..2_000 {
        let address = match world.address() {
            IpAddr::V4(address) => Address::v4(address.octets()),
            IpAddr::V6(address) => Address::from_octets(address.octets()),
        };
        assert_eq!(kernel.index_of(address).expect("an index"), 0, "{address:?}");
    }
}
