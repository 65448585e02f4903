//! Nanoseconds per packet of the kernel program alone, by BPF_PROG_TEST_RUN,
//! for packets that stand for the traffic of a server. One warm source: what
//! cache misses of many sources cost is not in these numbers.

use std::time::Duration;

use sipguard::kernel::BenchKernel;
use tests::{
    corpus::Setup,
    packet::Packet,
    plans::plan,
    sip::{self, Message},
};

const RUNS: u32 = 1_000_000;
/// Rounds of each packet; the best counts, for other work only adds.
const ROUNDS: u32 = 5;

fn main() -> anyhow::Result<()> {
    let mut kernel = BenchKernel::load()?;
    let info = kernel.kernel().program_info()?;
    println!(
        "{} verified instructions, {} bytes of machine code",
        info.verified_instructions, info.jited_bytes
    );
    kernel.kernel().apply(&plan(Setup::Base))?;
    for (name, frame) in frames() {
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS {
            best = best.min(kernel.run(&frame, RUNS)?);
        }
        println!("{name:32} {:5} bytes {:5} ns", frame.len(), best.as_nanos());
    }
    Ok(())
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
