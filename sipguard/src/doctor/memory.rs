//! Memory for the maps.

use super::{Check, Finding, machine::Machine};

/// Kernel memory of all maps with a million blocked networks, and what the
/// daemon takes beside them (docs/benchmarks.md: P09, P14), rounded up. MiB.
const NEEDED: u64 = 400;

const KIB_PER_MIB: u64 = 1024;
const BYTES_PER_MIB: u64 = 1 << 20;

pub(super) fn examine(machine: &Machine, running: bool) -> Vec<Finding> {
    let mut findings = vec![available(machine, running)];
    findings.extend(limit(machine));
    findings
}

fn available(machine: &Machine, running: bool) -> Finding {
    let Some(free) = mem_available(machine) else {
        return Finding::note(Check::Memory, "how much memory is free cannot be read");
    };
    let found = format!("{free} MiB of memory are free");
    // What runs has its maps.
    match running {
        true if free < NEEDED / 4 => Finding::warning(Check::Memory, found)
            .why("the kernel ends processes when there is no more")
            .remedy("free memory: `ps -eo rss,comm --sort=-rss | head`"),
        false if free < NEEDED => Finding::problem(Check::Memory, found)
            .why(format!(
                "the maps and the daemon take up to {NEEDED} MiB, which do not move to swap"
            ))
            .remedy("free memory: `ps -eo rss,comm --sort=-rss | head`"),
        false if free < 2 * NEEDED => Finding::warning(Check::Memory, found)
            .why(format!("the maps and the daemon take up to {NEEDED} MiB of them")),
        _ => Finding::ok(Check::Memory, found),
    }
}

/// MiB.
fn mem_available(machine: &Machine) -> Option<u64> {
    let info = machine.read("proc/meminfo")?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? / KIB_PER_MIB)
}

/// The tightest limit of the control groups (version 2) that we are in: maps
/// are counted there.
fn limit(machine: &Machine) -> Option<Finding> {
    let groups = machine.read("proc/self/cgroup")?;
    let mut group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut tightest: Option<u64> = None;
    loop {
        let file = format!("sys/fs/cgroup/{group}/memory.max");
        let max = machine.read(file).and_then(|text| text.trim().parse::<u64>().ok());
        tightest = tightest.into_iter().chain(max).min();
        match group.rsplit_once('/') {
            Some((outer, _)) => group = outer,
            None if group.is_empty() => break,
            None => group = "",
        }
    }
    let mib = tightest? / BYTES_PER_MIB;
    let found = format!("the control group may use {mib} MiB");
    Some(match mib < NEEDED {
        true => Finding::problem(Check::Memory, found)
            .why(format!("the kernel counts the maps, up to {NEEDED} MiB, to whoever makes them"))
            .remedy("raise MemoryMax= of the service, or the limit of the container"),
        false => Finding::ok(Check::Memory, found),
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Level, machine::tree},
        *,
    };

    #[test]
    fn memory_is_weighed_against_the_maps() {
        let level = |kib: u64, running| {
            let info = format!("MemTotal:  1 kB\nMemAvailable:   {kib} kB\n");
            let (_folder, machine) = tree(&[("proc/meminfo", &info)]);
            available(&machine, running).level
        };
        assert_eq!(level(100_000, false), Level::Problem);
        assert_eq!(level(600_000, false), Level::Warning);
        assert_eq!(level(4_000_000, false), Level::Ok);
        assert_eq!([level(200_000, true), level(50_000, true)], [Level::Ok, Level::Warning]);
    }

    #[test]
    fn the_tightest_control_group_counts() {
        let (_folder, machine) = tree(&[
            ("proc/self/cgroup", "0::/system.slice/sipguard.service\n"),
            ("sys/fs/cgroup/system.slice/sipguard.service/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "104857600\n"),
        ]);
        let finding = limit(&machine).unwrap();
        assert_eq!((finding.level, finding.found.contains("100 MiB")), (Level::Problem, true));
        let (_folder, free) = tree(&[("proc/self/cgroup", "0::/\n")]);
        assert_eq!(limit(&free), None);
    }
}
