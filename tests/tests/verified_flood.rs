//! A flood of made-up senders, and those whom the server has verified (D14,
//! F20): each has a room of its own.

use sipguard_common::{
    abi::{Address, Endpoint, Site, Verified, how},
    frame::UDP,
    rule::Rule,
};
use tests::{
    corpus::Setup,
    crowd::{Crowd, spoofed},
    kernel::{load_or_skip, packets},
    packet::Packet,
    plans::plan,
    sip::Message,
};

const S: u64 = 1_000_000_000;
const NOW: u64 = 1_000 * S;
const SERVER: &str = "203.0.113.1:5060";

/// Verified endpoints, each of a source of its own.
const CUSTOMERS: u32 = 10_000;
/// Made-up senders.
const SPOOFED: usize = 1_000_000;
/// Of those, one in so many is accepted by the server: it does not ask all for
/// a password.
const ACCEPTED: usize = 20;

fn customer(n: u32) -> (Address, Endpoint) {
    let address = Address::v4((0xc612_0000 | n).to_be_bytes());
    (address, Endpoint::new(address, 5061u16.to_be_bytes(), UDP))
}

/// D14: a million made-up senders, of whom the server even accepts some, evict
/// no verified endpoint and no site.
#[test]
fn d14_a_million_spoofed_senders_evict_no_verified_endpoint() {
    let Some(mut kernel) = load_or_skip() else { return };
    kernel
        .apply(&plan(Setup::Settings("[limits.strangers]\ntotal = \"unlimited\"\n")))
        .expect("a policy");
    kernel.set_clock(NOW).expect("a clock");
    let expires_ns = NOW + 3600 * S;
    let verified =
        Verified { expires_ns, since_ns: NOW, how: how::REGISTER, ..Verified::default() };
    for (address, endpoint) in (0..CUSTOMERS).map(customer) {
        kernel.set_endpoint(endpoint, verified, true).expect("a map");
        let site = Site { until_ns: expires_ns, since_ns: NOW, shift: 1, ..Site::default() };
        kernel.set_site(address, site).expect("a map");
    }
    let request = Message::request("REGISTER", "sip:203.0.113.1").build();
    let mut flood = Crowd::new(&Packet::udp("192.0.2.1:5060", SERVER).payload(request));
    // The frame that leaves has the made-up address where the other has it
    // behind that of the sender.
    let accepted = Message::response("200 OK", "INVITE").build();
    let accepted = Packet::udp(SERVER, "192.0.2.1:5060").payload(accepted).build();
    let total = packets(SPOOFED);
    let mut passed = 0;
    for n in 0..total {
        let address = spoofed(n as u32);
        let frame = flood.from(address, 5060);
        passed += usize::from(kernel.run(frame).expect("a run").rule == Rule::Stranger);
        if n % ACCEPTED == 0 {
            let mut frame = accepted.clone();
            frame[30..34].copy_from_slice(&address.to_be_bytes());
            kernel.run_egress(&frame).expect("a run");
        }
    }
    // The room of those was too small for all of them.
    assert!(passed > total * 9 / 10, "{passed}");
    let probe = Message::request("OPTIONS", "sip:203.0.113.1").build();
    let mut probes = Crowd::new(&Packet::udp("192.0.2.1:5061", SERVER).payload(probe));
    for n in 0..CUSTOMERS {
        let (address, endpoint) = customer(n);
        let (kept, is_proven) = kernel.endpoint(&endpoint).expect("a map").expect("a customer");
        assert!(kept.expires_ns == expires_ns && is_proven, "{n}");
        assert!(kernel.site(&address).expect("a map").is_some(), "{n}");
        let frame = probes.from(0xc612_0000 | n, 5061);
        assert_eq!(kernel.run(frame).expect("a run").rule, Rule::Verified, "{n}");
    }
}
