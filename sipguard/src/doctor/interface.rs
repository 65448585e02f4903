//! One interface: its driver, and what stands between it and XDP.

use super::{
    Check, Finding, Running, drivers, ethtool::Ethtool, machine::Machine, programs, queues,
};
use crate::{
    kernel::{KernelError, Survey, survey},
    sanitise::sanitise,
};

/// Bytes of MTU that fit into a page with what XDP needs beside the packet; the
/// exact number is the driver's.
const ONE_PAGE: u32 = 3_400;

/// What is known of an interface.
pub(super) struct Facts<'a> {
    pub(super) name: &'a str,
    pub(super) survey: Survey,
    pub(super) ethtool: Ethtool,
    /// How the running sipguard is attached to it.
    pub(super) mode: Option<&'a str>,
}

impl Facts<'_> {
    /// A device without hardware of its own, whose packets are others'.
    fn stands_on_another(&self) -> bool {
        matches!(
            self.survey.kind.as_deref(),
            Some("vlan" | "bridge" | "macvlan" | "ipvlan" | "vxlan")
        )
    }

    /// Whether a program can run in the driver, where that can be known.
    fn native(&self) -> Option<bool> {
        let listed = self.ethtool.driver.as_deref().map(drivers::is_native);
        self.survey.features.map(|features| features.native).or(listed)
    }
}

pub(super) fn examine(name: &str, machine: &Machine, running: &Running) -> Vec<Finding> {
    let shown = sanitise(name, 64);
    let survey = match survey(name) {
        Ok(survey) => survey,
        Err(error) => return vec![unknown(&error).of(&shown)],
    };
    let facts =
        Facts { name: &shown, survey, ethtool: Ethtool::ask(name), mode: running.mode(name) };
    let mut findings = vec![state(&facts), driver(&facts)];
    findings.extend(mtu(&facts));
    findings.extend(offloads(&facts));
    findings.extend(queues::examine(&facts, machine));
    findings.extend(programs::examine(&facts));
    findings.into_iter().map(|finding| finding.of(&shown)).collect()
}

fn unknown(error: &KernelError) -> Finding {
    Finding::problem(Check::Interface, error.to_string())
        .why("`sipguard run` refuses to start without it")
        .remedy("ip -brief link")
}

fn state(facts: &Facts) -> Finding {
    match facts.survey.up {
        true => Finding::ok(Check::Interface, "is up"),
        false => Finding::warning(Check::Interface, "is down")
            .why("nothing comes in by it")
            .remedy(format!("ip link set dev {} up", facts.name)),
    }
}

fn driver(facts: &Facts) -> Finding {
    let name = facts.ethtool.driver.as_deref().map(|name| sanitise(name, 32));
    let name = name.or_else(|| facts.survey.kind.clone()).unwrap_or_else(|| "unknown".to_owned());
    if let Some(mode) = facts.mode {
        let found = format!("driver {name}: sipguard is attached in mode {mode}");
        return match mode {
            "generic" => slower(Finding::note(Check::Driver, found), facts),
            _ => Finding::ok(Check::Driver, found),
        };
    }
    match facts.native() {
        Some(true) => Finding::ok(Check::Driver, format!("driver {name} can run XDP itself")),
        Some(false) => {
            let found = format!("driver {name} cannot run XDP itself, or not as it is set");
            slower(Finding::note(Check::Driver, found), facts)
        }
        None => {
            Finding::note(Check::Driver, format!("whether driver {name} can run XDP is not known"))
                .why("where it cannot, sipguard runs in the network stack behind it (mode auto)")
        }
    }
}

fn slower(finding: Finding, facts: &Facts) -> Finding {
    let finding = finding.why("in the network stack a dropped packet costs several times as much");
    match facts.stands_on_another() {
        true => finding
            .remedy("protect the interface below it, too, or instead: tags of VLANs are read"),
        false => finding,
    }
}

fn mtu(facts: &Facts) -> Option<Finding> {
    let mtu = facts.survey.mtu;
    let fragments = facts.survey.features.is_some_and(|features| features.fragments);
    if mtu <= ONE_PAGE || fragments {
        return Some(Finding::ok(Check::Mtu, format!("MTU {mtu}")));
    }
    // Without XDP in the driver there is no such limit.
    (facts.native()? && facts.mode != Some("native")).then(|| {
        Finding::warning(Check::Mtu, format!("MTU {mtu}"))
            .why("most drivers run XDP only on packets that fit into a page; sipguard would run behind the driver, which costs more")
            .remedy(format!("ip link set dev {} mtu 1500", facts.name))
    })
}

fn offloads(facts: &Facts) -> Vec<Finding> {
    let (name, ethtool) = (facts.name, &facts.ethtool);
    let mut findings = Vec::new();
    for (feature, option, what) in [
        ("rx-lro", "lro", "large receive offload (LRO) is on"),
        ("rx-gro-hw", "rx-gro-hw", "receive offload in hardware (GRO-HW) is on"),
    ] {
        if ethtool.has(feature) {
            findings.push(
                Finding::warning(Check::Offloads, what)
                    .why("the card joins TCP segments before the filter sees them; many drivers refuse XDP with it")
                    .remedy(format!("ethtool -K {name} {option} off")),
            );
        }
    }
    if ethtool.has("rx-vlan-hw-parse") {
        findings.push(
            Finding::note(Check::Offloads, "the card takes off VLAN tags (rxvlan)")
                .why("in the driver the filter then sees packets of all VLANs without tags, and judges them alike; elsewhere it reads the tags"),
        );
    }
    if findings.is_empty() {
        findings.push(Finding::ok(Check::Offloads, "no offload stands in the way"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};
    use crate::kernel::XdpFeatures;

    fn facts(driver: &str, features: Option<XdpFeatures>, mtu: u32) -> Facts<'static> {
        let ethtool = Ethtool { driver: Some(driver.to_owned()), ..Ethtool::default() };
        let survey = Survey { mtu, features, up: true, ..Survey::default() };
        Facts { name: "eth0", survey, ethtool, mode: None }
    }

    const NATIVE: XdpFeatures = XdpFeatures { native: true, fragments: false };

    #[test]
    fn the_kernel_is_believed_before_the_list_of_drivers() {
        assert_eq!(driver(&facts("r8169", None, 1500)).level, Level::Note);
        assert_eq!(driver(&facts("igb", None, 1500)).level, Level::Ok);
        assert_eq!(
            driver(&facts("virtio_net", Some(XdpFeatures::default()), 1500)).level,
            Level::Note
        );
        assert_eq!(driver(&facts("brand_new", Some(NATIVE), 1500)).level, Level::Ok);
        let attached = Facts { mode: Some("generic"), ..facts("igb", None, 1500) };
        assert_eq!(driver(&attached).level, Level::Note);
    }

    #[test]
    fn large_packets_matter_where_the_driver_runs_xdp_in_one_page() {
        let level = |facts: &Facts| mtu(facts).map(|finding| finding.level);
        assert_eq!(level(&facts("igb", Some(NATIVE), 1500)), Some(Level::Ok));
        assert_eq!(level(&facts("igb", Some(NATIVE), 9000)), Some(Level::Warning));
        let fragments = XdpFeatures { native: true, fragments: true };
        assert_eq!(level(&facts("ice", Some(fragments), 9000)), Some(Level::Ok));
        assert_eq!(level(&facts("r8169", None, 9000)), None);
    }

    #[test]
    fn offloads_come_with_the_command_that_ends_them() {
        let mut facts = facts("bnxt_en", None, 1500);
        assert_eq!(offloads(&facts)[0].level, Level::Ok);
        let on = ["rx-lro", "rx-vlan-hw-parse"].map(|name| (name.to_owned(), true));
        facts.ethtool.features = on.into();
        let findings = offloads(&facts);
        assert_eq!(findings[0].remedy.as_deref(), Some("ethtool -K eth0 lro off"));
        assert_eq!([findings[0].level, findings[1].level], [Level::Warning, Level::Note]);
    }

    #[test]
    fn an_interface_that_is_missing_or_down_is_said() {
        assert_eq!(unknown(&KernelError::NoInterface("x".to_owned())).level, Level::Problem);
        let mut down = facts("igb", None, 1500);
        down.survey.up = false;
        assert_eq!(state(&down).level, Level::Warning);
    }
}
