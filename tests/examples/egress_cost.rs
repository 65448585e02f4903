//! Nanoseconds per packet of the egress program alone, by BPF_PROG_TEST_RUN, for
//! what leaves a server; less what a frame costs of which it reads 14 bytes.

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

const SERVER: &str = "203.0.113.1:5060";
const STRANGER: &str = "198.51.100.7:5061";
const TRUSTED: &str = "192.0.2.10:5060";

fn main() -> anyhow::Result<()> {
    let mut kernel = BenchKernel::load()?;
    kernel.kernel().apply(&plan(Setup::Base))?;
    let best = |frame: &[u8]| -> anyhow::Result<u32> {
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS {
            best = best.min(kernel.run_egress(frame, RUNS)?);
        }
        Ok(u32::try_from(best.as_nanos())?)
    };
    let mut arp = vec![0xff; 60];
    arp[12..14].copy_from_slice(&[8, 6]);
    let bare = best(&arp)?;
    println!("{:32} {:5} bytes {bare:5} ns", "ARP", arp.len());
    let to = |client: &str, payload: &[u8]| Packet::udp(SERVER, client).payload(payload).build();
    let reply = |status: &str, method: &str| Message::response(status, method).build();
    let answer = Message::response("200 OK", "INVITE").body("application/sdp", sip::sdp()).build();
    let options = Message::request("OPTIONS", "sip:100@198.51.100.7:5061").build();
    let rtp = Packet::udp("203.0.113.1:16000", STRANGER).payload(vec![0x80; 172]).build();
    let frames = [
        ("RTP", rtp),
        ("keepalive", to(STRANGER, b"\r\n\r\n")),
        ("100 to INVITE, trusted", to(TRUSTED, &reply("100 Trying", "INVITE"))),
        ("200 to INVITE with SDP, trusted", to(TRUSTED, &answer)),
        ("100 to INVITE, stranger", to(STRANGER, &reply("100 Trying", "INVITE"))),
        ("404 to INVITE, stranger", to("198.51.100.8:5060", &reply("404 Not Found", "INVITE"))),
        (
            "401 to REGISTER, stranger",
            to("198.51.100.9:5060", &reply("401 Unauthorized", "REGISTER")),
        ),
        ("OPTIONS of the server", to(STRANGER, &options)),
        ("100 to INVITE, verified", to(STRANGER, &reply("100 Trying", "INVITE"))),
        ("180 to INVITE, verified", to(STRANGER, &reply("180 Ringing", "INVITE"))),
        ("200 to INVITE with SDP, verified", to(STRANGER, &answer)),
        ("200 to BYE, verified", to(STRANGER, &reply("200 OK", "BYE"))),
        ("200 to REGISTER, verified", to(STRANGER, &reply("200 OK", "REGISTER"))),
        ("486 to INVITE, verified", to(STRANGER, &reply("486 Busy Here", "INVITE"))),
    ];
    for (name, frame) in frames {
        let cost = best(&frame)?;
        println!(
            "{name:32} {:5} bytes {cost:5} ns, {:4} more",
            frame.len(),
            cost as i64 - i64::from(bare)
        );
    }
    Ok(())
}
