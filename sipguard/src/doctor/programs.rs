//! Other programs at the interface.

use super::{Check, Finding, interface::Facts};
use crate::kernel::Seen;

/// What the programs of sipguard are called, as far as the kernel keeps names.
const OURS: &str = "sipguard";

pub(super) fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        [xdp(facts), egress(facts), discipline(facts)].into_iter().flatten().collect();
    if findings.is_empty() {
        let found = match facts.mode {
            Some(_) => "no other program of XDP or traffic control is there",
            None => "no program of XDP or traffic control is there",
        };
        findings.push(Finding::ok(Check::Programs, found));
    }
    findings
}

fn xdp(facts: &Facts) -> Option<Finding> {
    // Beside ours there is no room for another.
    let seen = facts.survey.xdp.as_ref().filter(|_| facts.mode.is_none())?;
    let name = shown(seen);
    if is_ours(seen) {
        return Some(
            Finding::note(Check::Programs, format!("the XDP program {name} is sipguard's"))
                .why("one that cannot be asked here holds the interface; a second is refused"),
        );
    }
    Some(
        Finding::problem(
            Check::Programs,
            format!("it runs the XDP program {name} of somebody else"),
        )
        .why(
            "an interface has room for one; sipguard never displaces another, and refuses to start",
        )
        .remedy(format!("end what has loaded it, or: ip link set dev {} xdp off", facts.name)),
    )
}

fn egress(facts: &Facts) -> Option<Finding> {
    let programs = facts.survey.tcx.iter().filter(|seen| !is_ours(seen)).map(shown);
    let filters = facts.survey.filters.iter().filter(|name| !name.starts_with(OURS)).cloned();
    let others: Vec<String> = programs.chain(filters).collect();
    (!others.is_empty()).then(|| {
        Finding::note(Check::Programs, format!("what leaves goes through {} first", others.join(", ")))
            .why("where it says itself that a packet shall pass, sipguard does not see that reply, and learns nothing from it")
            .remedy("compare `sipguard stats`: replies must be counted when the server answers")
    })
}

fn discipline(facts: &Facts) -> Option<Finding> {
    let kind = facts.survey.discipline.as_deref()?;
    let no_links = facts.survey.tcx.is_empty();
    (kind == "ingress" && no_links).then(|| {
        Finding::note(Check::Programs, "it has the queueing discipline ingress")
            .why("below Linux 6.6 it stands where sipguard needs clsact, and `run` refuses")
            .remedy(format!(
                "tc qdisc del dev {0} ingress, then tc qdisc add dev {0} clsact",
                facts.name
            ))
    })
}

fn is_ours(seen: &Seen) -> bool {
    seen.name.as_deref().is_some_and(|name| name.starts_with(OURS))
}

fn shown(seen: &Seen) -> String {
    match seen.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => format!("`{name}` (id {})", seen.id),
        None => format!("with id {}", seen.id),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Level, ethtool::Ethtool},
        *,
    };
    use crate::kernel::Survey;

    fn facts(survey: Survey, mode: Option<&'static str>) -> Facts<'static> {
        Facts { name: "eth0", survey, ethtool: Ethtool::default(), mode }
    }

    fn seen(name: &str) -> Seen {
        Seen { id: 7, name: Some(name.to_owned()) }
    }

    fn levels(survey: Survey, mode: Option<&'static str>) -> Vec<Level> {
        examine(&facts(survey, mode)).iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn somebody_elses_xdp_is_a_problem_and_ours_is_none() {
        let with = |name| Survey { xdp: Some(seen(name)), ..Survey::default() };
        assert_eq!(levels(with("xdp_filter"), None), [Level::Problem]);
        assert_eq!(levels(with("sipguard_ingres"), None), [Level::Note]);
        assert_eq!(levels(with("sipguard_ingres"), Some("native")), [Level::Ok]);
        assert_eq!(levels(Survey::default(), None), [Level::Ok]);
    }

    #[test]
    fn programs_before_ours_at_the_way_out_are_named() {
        let survey = Survey {
            tcx: vec![seen("cil_to_netdev"), seen("sipguard_egress")],
            discipline: Some("ingress".to_owned()),
            ..Survey::default()
        };
        let findings = examine(&facts(survey, Some("native")));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].found.contains("cil_to_netdev"));
        assert!(!findings[0].found.contains("sipguard_egress"));
        let old = Survey { discipline: Some("ingress".to_owned()), ..Survey::default() };
        assert_eq!(levels(old, None), [Level::Note]);
    }
}
