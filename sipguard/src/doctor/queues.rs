//! Receive queues, and which processors take what comes.

use super::{Check, Finding, interface::Facts, machine::Machine};

/// Packets in a queue that hold out for a millisecond of a million a second.
const SHORT: u32 = 1024;

/// Fewer interrupts say nothing.
const ENOUGH: u64 = 10_000;

pub(super) fn examine(facts: &Facts, machine: &Machine) -> Vec<Finding> {
    let processors = machine.processors();
    let mut findings = queues(facts, processors);
    findings.extend(ring(facts));
    findings.extend(hash(facts));
    findings.extend(interrupts(facts.name, machine));
    findings.extend(backlog(machine));
    findings
}

fn queues(facts: &Facts, processors: usize) -> Vec<Finding> {
    let Some((now, most)) = facts.ethtool.queues else { return Vec::new() };
    let found = format!("receive queues: {now} of at most {most}, for {processors} processors");
    if now > 1 || processors == 1 {
        return vec![Finding::ok(Check::Queues, found)];
    }
    let finding = Finding::note(Check::Queues, found)
        .why("a single processor takes every packet that comes in by it");
    let wanted = usize::try_from(most).unwrap_or(usize::MAX).min(processors);
    let kind = if facts.ethtool.combined { "combined" } else { "rx" };
    vec![match wanted > 1 {
        true => finding.remedy(format!("ethtool -L {} {kind} {wanted}", facts.name)),
        false => finding,
    }]
}

fn ring(facts: &Facts) -> Option<Finding> {
    let (now, most) = facts.ethtool.ring?;
    (now < SHORT && now < most).then(|| {
        Finding::note(Check::Queues, format!("a queue holds {now} packets of at most {most}"))
            .why("in a flood packets are lost before the filter sees them, those of customers, too")
            .remedy(format!("ethtool -G {} rx {}", facts.name, most.min(4 * SHORT)))
    })
}

fn hash(facts: &Facts) -> Option<Finding> {
    let many = facts.ethtool.queues.is_some_and(|(now, _)| now > 1);
    (many && facts.ethtool.hashes_ports == Some(false)).then(|| {
        Finding::note(Check::Queues, "UDP is spread over the queues by addresses alone")
            .why("a flood from one address falls on one processor, together with the customers that share its queue; mostly that is what one wants")
            .remedy(format!("to spread it by ports, too: ethtool -N {} rx-flow-hash udp4 sdfn", facts.name))
    })
}

/// Interrupts of the interface's queues, where they bear its name.
fn interrupts(name: &str, machine: &Machine) -> Option<Finding> {
    let table = machine.read("proc/interrupts")?;
    let mut lines = table.lines();
    let processors = lines.next()?.split_whitespace().count();
    let mut by_processor = vec![0u64; processors];
    let mut queues = 0;
    for line in lines.filter(|line| is_of(line, name)) {
        queues += 1;
        let counts = line.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok());
        for (sum, count) in by_processor.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    let all: u64 = by_processor.iter().sum();
    if queues == 0 || processors < 2 || all < ENOUGH {
        return None;
    }
    let (busiest, most) = by_processor.iter().enumerate().max_by_key(|(_, count)| **count)?;
    let share = most * 100 / all;
    Some(match share > 90 && queues > 1 {
        true => Finding::warning(
            Check::Spread,
            format!("processor {busiest} takes {share} % of the interrupts of {queues} queues"),
        )
        .why("the others idle while it is full")
        .remedy("systemctl enable --now irqbalance, or set /proc/irq/*/smp_affinity"),
        false => Finding::ok(
            Check::Spread,
            format!("the busiest of {processors} processors takes {share} % of the interrupts"),
        ),
    })
}

/// Whether the last words of a line name a queue of the interface, such as
/// `eth0-TxRx-3`.
fn is_of(line: &str, name: &str) -> bool {
    line.split_whitespace().skip(1).any(|word| {
        word.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':', '.', '@']))
    })
}

/// `/proc/net/softnet_stat`: a line for each processor, the second number is
/// that of packets for which there was no room.
fn backlog(machine: &Machine) -> Option<Finding> {
    let table = machine.read("proc/net/softnet_stat")?;
    let lost = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    let lost: u64 = table.lines().filter_map(lost).sum();
    (lost > 0).then(|| {
        Finding::note(
            Check::Spread,
            format!("{lost} packets were lost between driver and stack since boot"),
        )
        .why("the queue in front of the network stack was full")
        .remedy("sysctl -w net.core.netdev_max_backlog=10000")
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Level, ethtool::Ethtool, machine::tree},
        *,
    };
    use crate::kernel::Survey;

    fn facts(ethtool: Ethtool) -> Facts<'static> {
        Facts { name: "eth0", survey: Survey::default(), ethtool, mode: None }
    }

    #[test]
    fn one_queue_for_several_processors_is_worth_a_note() {
        let one = facts(Ethtool { queues: Some((1, 8)), combined: true, ..Ethtool::default() });
        let found = queues(&one, 4);
        assert_eq!(found[0].level, Level::Note);
        assert_eq!(found[0].remedy.as_deref(), Some("ethtool -L eth0 combined 4"));
        assert_eq!(queues(&one, 1)[0].level, Level::Ok);
        let fixed = facts(Ethtool { queues: Some((1, 1)), ..Ethtool::default() });
        assert_eq!(queues(&fixed, 4)[0].remedy, None);
    }

    #[test]
    fn short_queues_and_plain_hashes_are_worth_a_note() {
        let short = facts(Ethtool { ring: Some((256, 4096)), ..Ethtool::default() });
        assert_eq!(ring(&short).unwrap().remedy.as_deref(), Some("ethtool -G eth0 rx 4096"));
        let full = facts(Ethtool { ring: Some((256, 256)), ..Ethtool::default() });
        assert_eq!(ring(&full), None);
        let plain =
            Ethtool { queues: Some((4, 4)), hashes_ports: Some(false), ..Ethtool::default() };
        assert!(hash(&facts(plain)).is_some());
    }

    #[test]
    fn interrupts_on_one_processor_are_a_warning() {
        let table = |first: &str, second: &str| {
            format!(
                "           CPU0       CPU1\n 24: {first} IR-PCI-MSI 1-edge eth0-TxRx-0\n \
                     25: {second} IR-PCI-MSI 2-edge eth0-TxRx-1\n 26: 9999999 0 x eth01-rx\n"
            )
        };
        let level = |text: &str| {
            let (_folder, machine) = tree(&[("proc/interrupts", text)]);
            interrupts("eth0", &machine).map(|finding| finding.level)
        };
        assert_eq!(level(&table("50000 0", "40000 7")), Some(Level::Warning));
        assert_eq!(level(&table("50000 0", "0 40000")), Some(Level::Ok));
        assert_eq!(level(&table("50 0", "0 4")), None);
    }

    #[test]
    fn lost_packets_are_counted_over_all_processors() {
        let (_folder, machine) =
            tree(&[("proc/net/softnet_stat", "00ff 00000010 0 0\n00ff 00000002 0 0\n")]);
        assert!(backlog(&machine).unwrap().found.starts_with("18 packets"));
        let (_folder, good) = tree(&[("proc/net/softnet_stat", "00ff 00000000 0\n")]);
        assert_eq!(backlog(&good), None);
    }
}
