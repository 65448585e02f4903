use anyhow::Result;
use tests::rig::{lab::*, phone::*, scanner::Scan, server::Server};
#[test]
fn control() -> Result<()> {
    let t = std::time::Instant::now();
    let lab = Lab::new()?;
    println!("lab {:?}", t.elapsed());
    let mut server = Server::start(&lab)?;
    println!("server {:?}", t.elapsed());
    for scan in [Scan::Svmap, Scan::SvmapMethod("REGISTER"), Scan::SvmapMethod("INVITE"), Scan::SvmapRenamed("Polycom"), Scan::Sipsak] {
        println!("{scan:?} {:?} {:?}", scan.run(&lab), t.elapsed());
    }
    for (address, ua) in [(STRANGER, "Polycom"), (TRUSTED, "sipcli/v1.8"), (STRANGER_V6, "x")] {
        let p = Phone { address, user_agent: ua };
        println!("{:?}", p.does(Action::Register, 1, &lab));
        if address.is_ipv4() { println!("{:?}", p.does(Action::Call, 1, &lab)); }
        println!("{:?} {:?}", p.does(Action::Keepalive, 2, &lab), t.elapsed());
    }
    for s in server.seen()? { println!("{s:?}"); }
    println!("{:?} {:?}", lab.received("wan0")?, lab.xdp_program("wan0")?);
    let f = tests::rig::foreign::Foreign::attach(&lab, "wan0")?;
    println!("{:?} {:?}", lab.received("wan0")?, lab.xdp_program("wan0")?);
    drop(f);
    println!("{:?}", lab.xdp_program("wan0")?);
    lab.enlarge_mtu()?;
    println!("big {:?}", tests::rig::foreign::Foreign::attach(&lab, "wan0").err());
    lab.add_second_wire()?;
    drop(server);
    let l = tests::rig::traffic::Listener::new(&lab, SECOND_SERVER)?;
    let s = tests::rig::traffic::sender(&lab, TRUSTED)?;
    println!("{}", l.receives(&s, b"\r\n")?);
    println!("all {:?}", t.elapsed());
    Ok(())
}
