use sipguard::{kernel::TestKernel, policy::Plan};
fn main() {
    let mut k = match TestKernel::load() {
        Ok(k) => k,
        Err(e) => {
            println!("{e}");
            return;
        }
    };
    println!("{:?}", k.kernel().program_info());
    let plan = Plan::default();
    k.apply(&plan).unwrap();
    k.set_clock(1_000_000_000).unwrap();
    let mut f = vec![0u8; 14];
    f[12] = 8;
    let p = b"REGISTER sip:10.77.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 1.2.3.4:5060;branch=z9hG4bK-1234;rport\r\nFrom: <sip:1@2>;tag=2\r\nTo: <sip:1@2>\r\nUser-Agent: Yealink SIP-T46S 66.85.0.5\r\nContent-Length: 0\r\n\r\n";
    let tl = 28 + p.len();
    f.extend([
        0x45,
        0,
        (tl >> 8) as u8,
        tl as u8,
        0,
        0,
        0,
        0,
        64,
        17,
        0,
        0,
        198,
        51,
        100,
        7,
        203,
        0,
        113,
        1,
    ]);
    f.extend([0x13, 0xc4, 0x13, 0xc4, ((p.len() + 8) >> 8) as u8, (p.len() + 8) as u8, 0, 0]);
    f.extend(p);
    println!("{:?}", k.run(&f));
    println!("{:?}", k.bench(&f, 1000000));
    f[37] = 0;
    println!("{:?}", k.run(&f));
    println!("{:?}", k.bench(&f, 1000000));
}
