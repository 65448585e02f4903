//! How sipguard sees what leaves, and that it leaves others alone there.

use std::{io, net::UdpSocket, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use sipguard::{
    kernel::{EgressMode, Kernel, KernelError},
    policy::Mode,
};
use tests::rig::{
    egress::{add_filter, discipline, filters, has_tcx, programs, tc},
    foreign::{self, Foreign, Says},
    lab::{Lab, SECOND_WAN, SERVER, TRUSTED, WAN, sip},
    policy::Policy,
    sipguard::Sipguard,
    tool::{Tool, can_run},
    traffic::sender,
    wait,
};

const TOOLS: &[Tool] = &[Tool::Ip, Tool::Sipguard, Tool::Tc];

const OURS: &str = "sipguard_egress";

/// More programs than the kernel takes at one interface.
const TOO_MANY: usize = 100;

/// How long what a dead process held may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a datagram may be under way.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// How many of our programs see what leaves, by whatever way.
fn ours(lab: &Lab) -> Result<usize> {
    let linked = programs(lab, WAN)?.iter().filter(|name| *name == OURS).count();
    Ok(linked + filters_of_ours(lab)?.len())
}

/// Handles of our filters.
fn filters_of_ours(lab: &Lab) -> Result<Vec<String>> {
    let all = filters(lab, WAN)?;
    let ours = all.iter().filter(|one| one["options"]["bpf_name"] == OURS);
    Ok(ours.map(|one| one["options"]["handle"].to_string()).collect())
}

/// Runs `work` in the server's namespace, with programs that are attached nowhere
/// yet.
fn with_kernel(lab: &Lab, work: impl FnOnce(Kernel) -> Result<()> + Send) -> Result<()> {
    lab.server().enter(|| {
        let load_and_work = || work(Kernel::load()?);
        load_and_work().map_err(io::Error::other)
    })
}

/// Attaches as before Linux 6.6, whatever kernel this is.
fn attach_by_clsact(kernel: &mut Kernel) -> Result<()> {
    let attached = kernel.attach_by(WAN, Mode::Auto, EgressMode::Clsact)?;
    ensure!(attached.egress == EgressMode::Clsact);
    Ok(())
}

#[test]
fn what_leaves_is_seen_until_sigterm() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    let how = if has_tcx()? { "tcx" } else { "clsact" };
    let said = sipguard.announcement();
    ensure!(said.contains(&format!("wan0 (native, {how})")), "{said}");
    let status = sipguard.json(&["status", "--json"])?;
    ensure!(status["interfaces"][0]["egress"] == how, "{status}");
    let status = sipguard.command(&["status"])?.success()?;
    ensure!(status.text().contains(&format!("(native, {how})")), "{status}");
    ensure!(ours(&lab)? == 1);
    ensure!(programs(&lab, WAN)?.len() == usize::from(has_tcx()?));

    sipguard.stop()?.success()?;
    ensure!(ours(&lab)? == 0, "still attached after SIGTERM");
    ensure!(discipline(&lab, WAN)?.is_none(), "it has left its queueing discipline");
    Ok(())
}

/// By a link nothing is left behind, by a filter what the next start removes.
#[test]
fn after_kill_9_the_next_one_is_alone_and_leaves_nothing() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?.kill()?;
    let left = if has_tcx()? { 0 } else { 1 };
    wait::until("the end of what was attached", PATIENCE, || {
        let is_gone = lab.xdp_program(WAN)?.is_none() && ours(&lab)? == left;
        Ok(is_gone.then_some(()))
    })?;

    let second = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    ensure!(ours(&lab)? == 1, "{} programs of ours", ours(&lab)?);
    second.stop()?.success()?;
    ensure!(ours(&lab)? == 0);
    ensure!(discipline(&lab, WAN)?.is_none(), "whose it was is forgotten");
    Ok(())
}

#[test]
fn d15_other_programs_at_the_way_out_stay_and_run() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    if !has_tcx()? {
        println!("links for what leaves come with Linux 6.6");
        return Ok(());
    }
    let lab = Lab::new()?;
    let first = Foreign::attach_egress(&lab, WAN, Says::Next)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    ensure!(programs(&lab, WAN)? == [foreign::NAME, OURS], "{:?}", programs(&lab, WAN)?);

    let server = lab.server().enter(|| UdpSocket::bind(sip(SERVER)))?;
    let phone = sender(&lab, TRUSTED)?;
    phone.set_read_timeout(Some(UNDER_WAY))?;
    let comes = |text: &[u8]| -> Result<bool> {
        server.send_to(text, phone.local_addr()?)?;
        let mut buffer = [0; 100];
        Ok(matches!(phone.recv(&mut buffer), Ok(count) if buffer.get(..count) == Some(text)))
    };
    ensure!(comes(b"SIP/2.0 200 OK\r\n\r\n")?, "the reply did not come");
    // Behind ours: it still sees what ours lets go.
    let last = Foreign::attach_egress(&lab, WAN, Says::Drop)?;
    phone.set_read_timeout(Some(Duration::from_millis(300)))?;
    ensure!(!comes(b"SIP/2.0 180 Ringing\r\n\r\n")?, "the program behind ours did not run");

    sipguard.stop()?.success()?;
    ensure!(programs(&lab, WAN)? == [foreign::NAME; 2], "{:?}", programs(&lab, WAN)?);
    drop((first, last));
    Ok(())
}

#[test]
fn d15_anothers_discipline_and_filters_stay_as_they_were() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    tc(&lab, &["qdisc", "add", "dev", WAN, "clsact"])?;
    add_filter(&lab, WAN, "egress", "7", "1")?;
    add_filter(&lab, WAN, "ingress", "7", "1")?;
    // In the place that ours would take, and with its handle.
    add_filter(&lab, WAN, "egress", "65000", "0x53495031")?;
    let shown = || -> Result<String> {
        let show = |side| tc(&lab, &["filter", "show", "dev", WAN, side]);
        Ok([show("egress")?.text(), show("ingress")?.text()].concat())
    };
    let before = shown()?;
    let others = filters(&lab, WAN)?;
    let sipguard = Sipguard::start(&lab, &Policy::usual()?, &["--iface", WAN])?;
    ensure!(ours(&lab)? == 1);
    ensure!(filters(&lab, WAN)?.starts_with(&others));
    sipguard.stop()?.success()?;
    ensure!(shown()? == before, "{}", shown()?);
    ensure!(discipline(&lab, WAN)?.as_deref() == Some("clsact"));

    with_kernel(&lab, |mut kernel| {
        attach_by_clsact(&mut kernel)?;
        let all = filters(&lab, WAN)?;
        ensure!(all.len() == 3 && all.starts_with(&others), "{all:?}");
        let own = all.last().context("a filter")?;
        ensure!(own["pref"] == 65_001 && own["options"]["bpf_name"] == OURS, "{own}");
        kernel.detach();
        ensure!(shown()? == before, "{}", shown()?);

        // An empty one, too.
        for side in ["egress", "ingress"] {
            tc(&lab, &["filter", "del", "dev", WAN, side])?;
        }
        attach_by_clsact(&mut kernel)?;
        ensure!(ours(&lab)? == 1);
        kernel.detach();
        ensure!(filters(&lab, WAN)?.is_empty());
        ensure!(discipline(&lab, WAN)?.as_deref() == Some("clsact"));
        Ok(())
    })
}

#[test]
fn a_discipline_of_ours_goes_with_us_unless_somebody_uses_it() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    with_kernel(&lab, |mut kernel| {
        attach_by_clsact(&mut kernel)?;
        ensure!(filters_of_ours(&lab)?.len() == 1 && lab.xdp_program(WAN)?.is_some());
        kernel.detach();
        ensure!(discipline(&lab, WAN)?.is_none() && lab.xdp_program(WAN)?.is_none());

        attach_by_clsact(&mut kernel)?;
        add_filter(&lab, WAN, "ingress", "7", "1")?;
        kernel.detach();
        ensure!(ours(&lab)? == 0);
        ensure!(discipline(&lab, WAN)?.as_deref() == Some("clsact"), "with another's filter");

        // Without a word, as after a panic.
        tc(&lab, &["qdisc", "del", "dev", WAN, "clsact"])?;
        attach_by_clsact(&mut kernel)?;
        drop(kernel);
        ensure!(discipline(&lab, WAN)?.is_none());
        Ok(())
    })
}

/// Its filters for what goes out would run over what comes in.
#[test]
fn the_older_discipline_is_refused_and_nothing_is_left() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    tc(&lab, &["qdisc", "add", "dev", WAN, "ingress"])?;
    with_kernel(&lab, |mut kernel| {
        let Err(error) = kernel.attach_by(WAN, Mode::Auto, EgressMode::Clsact) else {
            bail!("it was attached");
        };
        let expected = matches!(&error, KernelError::NoRoomForClsact { interface, kind }
            if interface == WAN && kind == "ingress");
        ensure!(expected, "{error}");
        ensure!(lab.xdp_program(WAN)?.is_none(), "the ingress program was left there");
        Ok(())
    })?;
    ensure!(discipline(&lab, WAN)?.as_deref() == Some("ingress"));
    ensure!(filters(&lab, WAN)?.is_empty());
    Ok(())
}

#[test]
fn it_does_not_start_where_it_cannot_see_what_leaves() -> Result<()> {
    if !can_run(TOOLS) {
        return Ok(());
    }
    let lab = Lab::new()?;
    lab.add_second_wire()?;
    let mut others = Vec::new();
    if has_tcx()? {
        let more = || Foreign::attach_egress(&lab, SECOND_WAN, Says::Next).ok();
        others.extend((0..TOO_MANY).map_while(|_| more()));
        ensure!((1..TOO_MANY).contains(&others.len()), "{} others", others.len());
    } else {
        tc(&lab, &["qdisc", "add", "dev", SECOND_WAN, "ingress"])?;
    }
    let arguments = ["--iface", WAN, "--iface", SECOND_WAN];
    let end = Sipguard::fails_to_start(&lab, &Policy::usual()?, &arguments)?.expect_code(1)?;
    let reason = if has_tcx()? {
        "as many programs as the kernel takes"
    } else {
        "`ingress` of somebody else"
    };
    ensure!(end.words().contains(SECOND_WAN) && end.words().contains(reason), "{end}");
    ensure!(end.stdout.is_empty(), "it said that it protects:\n{end}");
    wait::until("the end of what was attached", PATIENCE, || {
        let is_gone = |interface| Ok::<_, anyhow::Error>(lab.xdp_program(interface)?.is_none());
        Ok((is_gone(WAN)? && is_gone(SECOND_WAN)? && ours(&lab)? == 0).then_some(()))
    })?;
    ensure!(discipline(&lab, WAN)?.is_none());
    ensure!(programs(&lab, SECOND_WAN)?.len() == others.len());
    Ok(())
}
