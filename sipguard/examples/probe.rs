use sipguard::{
    kernel::{BenchKernel, TestKernel},
    policy::{self, Plan},
};
fn frame(src: [u8; 4], dport: u16, p: &[u8]) -> Vec<u8> {
    let mut f = vec![0u8; 14];
    f[12] = 8;
    let tl = 28 + p.len();
    f.extend([0x45, 0, (tl >> 8) as u8, tl as u8, 0, 0, 0, 0, 64, 17, 0, 0]);
    f.extend(src);
    f.extend([203, 0, 113, 1]);
    f.extend([0x13, 0xc4]);
    f.extend(dport.to_be_bytes());
    f.extend([((p.len() + 8) >> 8) as u8, (p.len() + 8) as u8, 0, 0]);
    f.extend(p);
    f
}
fn main() {
    let plan = Plan::default();
    let mut k = match TestKernel::load() {
        Ok(k) => k,
        Err(e) => {
            println!("{e}");
            return;
        }
    };
    println!("test {:?}", k.kernel().program_info());
    k.apply(&plan).unwrap();
    k.set_clock(1_000_000_000).unwrap();
    let mut b = BenchKernel::load().unwrap();
    println!("run {:?}", b.kernel().program_info());
    b.kernel().apply(&plan).unwrap();
    b.kernel().allow("192.0.2.1".parse().unwrap(), None).unwrap();
    b.kernel().block("192.0.2.2/32".parse().unwrap(), None).unwrap();
    let msg = |m: &str, ua: &str| {
        format!(
            "{m} sip:10.77.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 1.2.3.4:5060;branch=z9hG4bK-1234;rport\r\nMax-Forwards: 70\r\nFrom: \"sipvicious\"<sip:100@1.1.1.1>;tag=3132333435363738393031323334353637383930\r\nTo: \"sipvicious\"<sip:100@1.1.1.1>\r\nCall-ID: 12345678901234567890@1.2.3.4\r\nCSeq: 1 {m}\r\nContact: <sip:100@1.2.3.4:5060>\r\nExpires: 3600\r\nUser-Agent: {ua}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let a = [198, 51, 100, 7];
    for (n, f) in [
        ("rtp", frame(a, 16000, &[0x80; 172])),
        (
            "trusted invite",
            frame([192, 0, 2, 1], 5060, msg("INVITE", "Yealink SIP-T46S 66.85.0.5").as_bytes()),
        ),
        (
            "blocked",
            frame([192, 0, 2, 2], 5060, msg("INVITE", "Yealink SIP-T46S 66.85.0.5").as_bytes()),
        ),
        ("keepalive", frame(a, 5060, b"\r\n\r\n")),
        ("options friendly", frame(a, 5060, msg("OPTIONS", "friendly-scanner").as_bytes())),
        (
            "options yealink",
            frame(a, 5060, msg("OPTIONS", "Yealink SIP-T46S 66.85.0.5").as_bytes()),
        ),
        ("register friendly", frame(a, 5060, msg("REGISTER", "friendly-scanner").as_bytes())),
        (
            "register yealink",
            frame(a, 5060, msg("REGISTER", "Yealink SIP-T46S 66.85.0.5").as_bytes()),
        ),
        ("crlf 1400", frame(a, 5060, &b"\r\n".repeat(700))),
        (
            "short lines",
            frame(
                a,
                5060,
                format!("INVITE sip:x SIP/2.0\r\n{}\r\n", "a:\r\n".repeat(340)).as_bytes(),
            ),
        ),
    ] {
        println!(
            "{n:20} {:4} B {:?} {:?}",
            f.len(),
            k.run(&f).map(|v| (v.rule, v.signature)),
            b.run(&f, 1000000)
        );
    }
}
