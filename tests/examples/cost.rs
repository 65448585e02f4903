//! Nanoseconds per packet of the kernel program alone, by BPF_PROG_TEST_RUN,
//! for packets that stand for the traffic of a server: one warm source; then
//! strangers' and blocked sources at random, before lists of growing size.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use ipnet::{IpNet, Ipv4Net};
use sipguard::{
    kernel::BenchKernel,
    policy::{Block, Peer, Plan, Target},
};
use tests::{
    corpus::Setup,
    packet::Packet,
    plans::plan,
    random::Random,
    sip::{self, Message},
};

const RUNS: u32 = 1_000_000;
/// Rounds of each packet; the best counts, for other work only adds.
const ROUNDS: u32 = 5;
/// Random sources of one measurement; each is run once.
const SOURCES: usize = 20_000;
/// Numbers of blocked networks that are compared.
const LISTS: [usize; 4] = [0, 100, 100_000, 1_000_000];
const TRUSTED_PREFIXES: usize = 1_000;

fn main() -> anyhow::Result<()> {
    let mut kernel = BenchKernel::load()?;
    let info = kernel.kernel().program_info()?.ingress;
    println!(
        "{} verified instructions, {} bytes of machine code",
        info.verified_instructions, info.jited_bytes
    );
    kernel.kernel().apply(&plan(Setup::Base))?;
    for (name, frame) in frames() {
        print_cost(&kernel, name, &frame)?;
    }
    LISTS.into_iter().try_for_each(lists)
}

fn print_cost(kernel: &BenchKernel, name: &str, frame: &[u8]) -> anyhow::Result<()> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        best = best.min(kernel.run(frame, RUNS)?);
    }
    println!("{name:32} {:5} bytes {:5} ns", frame.len(), best.as_nanos());
    Ok(())
}

/// What lists of this size cost, and take: the program's whole work for
/// OPTIONS of a stranger, which are dropped without any state.
fn lists(size: usize) -> anyhow::Result<()> {
    let mut random = Random::new(size as u64);
    let mut plan = plan(Setup::Base);
    plan.blocked.clear();
    plan.trusted.clear();
    if size > 0 {
        fill(&mut plan, size, &mut random);
    }
    let mut kernel = BenchKernel::load()?;
    let start = Instant::now();
    kernel.kernel().apply(&plan)?;
    println!("\n{size} blocked networks: applied in {:?}, {}", start.elapsed(), resident());
    let start = Instant::now();
    kernel.kernel().apply(&plan)?;
    println!("the same again in {:?}", start.elapsed());
    let start = Instant::now();
    kernel.kernel().block("198.18.0.1/32".parse()?, None)?;
    println!("one block in {:?}", start.elapsed());

    let strangers: Vec<Ipv4Addr> = (0..SOURCES).map(|_| source(&mut random)).collect();
    let nets: Vec<IpNet> = plan.blocked.keys().copied().collect();
    let blocked: Vec<Ipv4Addr> = (0..SOURCES.min(nets.len() * SOURCES))
        .filter_map(|_| match random.pick(&nets).addr() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
        .collect();
    let options = Message::request("OPTIONS", "sip:100@203.0.113.1").build();
    let from = |source: Ipv4Addr| {
        Packet::udp(&format!("{source}:5060"), "203.0.113.1:5060").payload(&options).build()
    };
    print_cost(&kernel, "OPTIONS of one stranger", &from(Ipv4Addr::new(198, 51, 100, 7)))?;
    if let Some(first) = blocked.first() {
        print_cost(&kernel, "OPTIONS of one blocked source", &from(*first))?;
    }
    let rtp = Packet::udp("198.51.100.7:5061", "203.0.113.1:16000").payload(vec![0x80; 172]);
    let rtp = rtp.build();
    print_mean(&kernel, "RTP, one run each", &vec![rtp; SOURCES])?;
    for (name, sources) in
        [("strangers, one run each", strangers), ("blocked, one run each", blocked)]
    {
        if !sources.is_empty() {
            print_mean(&kernel, name, &sources.into_iter().map(from).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

fn print_mean(kernel: &BenchKernel, name: &str, frames: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let mut sum = Duration::ZERO;
        for frame in frames {
            sum += kernel.run(frame, 1)?;
        }
        best = best.min(sum / u32::try_from(frames.len())?);
    }
    println!("{name:32} {:5} sources {:5} ns", frames.len(), best.as_nanos());
    Ok(())
}

/// Networks as block lists have them: mostly addresses and /24, few wide ones.
fn fill(plan: &mut Plan, size: usize, random: &mut Random) {
    while plan.blocked.len() < size {
        let bits = match random.below(10) {
            0..5 => 32,
            5..8 => 24,
            _ => 17 + random.below(15) as u8,
        };
        if let Ok(net) = Ipv4Net::new(source(random), bits) {
            plan.blocked.insert(IpNet::V4(net.trunc()), Block::default());
        }
    }
    while plan.trusted.len() < TRUSTED_PREFIXES {
        let peer = Peer { name: "carrier".to_owned(), class: None };
        if let Ok(net) = Ipv4Net::new(source(random), 20 + random.below(10) as u8) {
            plan.trusted.insert(Target { net: IpNet::V4(net.trunc()), port: None }, peer);
        }
    }
}

/// An address of the unicast internet.
fn source(random: &mut Random) -> Ipv4Addr {
    let address = random.next() as u32 % (223 << 24);
    Ipv4Addr::from(address.max(1 << 24))
}

/// Memory of this process: the plan, and what the lists remember of it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    format!("{} resident", line.unwrap_or("unknown").trim())
}

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let stranger = "198.51.100.7:5061";
    let server = "203.0.113.1:5060";
    let from = |source: &str, payload: &[u8]| Packet::udp(source, server).payload(payload).build();
    let request = |method: &str, agent: &str| {
        Message::request(method, "sip:100@203.0.113.1").agent(agent).build()
    };
    let invite = Message::request("INVITE", "sip:100@203.0.113.1")
        .agent("Yealink SIP-T46S 66.85.0.5")
        .body("application/sdp", sip::sdp())
        .build();
    vec![
        ("RTP", Packet::udp(stranger, "203.0.113.1:16000").payload(vec![0x80; 172]).build()),
        ("INVITE of a trusted address", from("192.0.2.10:5060", &invite)),
        ("INVITE of a trusted network", from("192.0.2.100:5060", &invite)),
        ("INVITE of a blocked address", from("203.0.113.66:5060", &invite)),
        ("INVITE of a blocked network", from("203.0.113.200:5060", &invite)),
        ("keepalive of a stranger", from(stranger, b"\r\n\r\n")),
        ("response to a probe", from(stranger, &Message::response("200 OK", "OPTIONS").build())),
        ("OPTIONS of a scanner", from(stranger, &request("OPTIONS", "friendly-scanner"))),
        (
            "OPTIONS of a stranger",
            from(stranger, &request("OPTIONS", "Yealink SIP-T46S 66.85.0.5")),
        ),
        ("REGISTER of a scanner", from(stranger, &request("REGISTER", "friendly-scanner"))),
        (
            "REGISTER of a stranger",
            from(stranger, &request("REGISTER", "Yealink SIP-T46S 66.85.0.5")),
        ),
        ("INVITE of a stranger", from("198.51.100.8:5060", &invite)),
        ("1,400 bytes of CRLF", from(stranger, &b"\r\n".repeat(700))),
        (
            "340 lines of 4 bytes",
            from(
                stranger,
                format!("INVITE sip:x SIP/2.0\r\n{}\r\n", "a:\r\n".repeat(340)).as_bytes(),
            ),
        ),
    ]
}
