//! What the user who asks may do.

use caps::{CapSet, Capability};

use super::{Check, Finding, machine::Machine};

/// What `run` needs, and what for.
const NEEDED: [(Capability, &str); 3] = [
    (Capability::CAP_BPF, "loading programs and making maps"),
    (Capability::CAP_NET_ADMIN, "attaching to interfaces"),
    (Capability::CAP_PERFMON, "programs that read packets at variable places"),
];

/// Without a namespace of users, all of them map to themselves.
const ALL_USERS: [&str; 3] = ["0", "0", "4294967295"];

/// Open files: maps, links, callers.
const FILES: u64 = 1024;

pub(super) fn examine(machine: &Machine, running: bool) -> Vec<Finding> {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    let missing: Vec<_> = NEEDED.into_iter().filter(|(capability, _)| !has(*capability)).collect();
    let root = nix::unistd::geteuid().is_root();
    let mut findings = vec![rights(machine, &missing, root, running)];
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    findings.extend(limit.ok().map(|(soft, _)| files(soft)));
    findings
}

fn rights(machine: &Machine, missing: &[(Capability, &str)], root: bool, running: bool) -> Finding {
    let map = machine.read("proc/self/uid_map").unwrap_or_default();
    let in_namespace = !map.is_empty() && !map.split_whitespace().eq(ALL_USERS);
    let names = |(capability, purpose): &(Capability, &str)| format!("{capability} ({purpose})");
    let lacks = missing.iter().map(names).collect::<Vec<_>>().join(", ");
    if in_namespace {
        return Finding::problem(
            Check::Rights,
            "this is a namespace of users, as in a rootless container",
        )
        .why("the kernel takes CAP_BPF only from those who have it outside, too")
        .remedy("run sipguard on the host, or in a container without a user namespace");
    }
    match (missing.is_empty(), root, running) {
        (true, ..) => Finding::ok(Check::Rights, "the rights suffice to run sipguard"),
        (false, _, true) => Finding::ok(Check::Rights, "sipguard runs; this user could not start it"),
        (false, true, false) => Finding::problem(Check::Rights, format!("root lacks {lacks}"))
            .why("`sipguard run` will be refused, as in a container with few rights")
            .remedy("give it the capabilities: docker run --cap-add BPF --cap-add NET_ADMIN --cap-add PERFMON --network host"),
        (false, false, false) => Finding::note(Check::Rights, format!("this user lacks {lacks}"))
            .why("`sipguard run` needs them; the service has them")
            .remedy("sudo sipguard doctor"),
    }
}

fn files(soft: u64) -> Finding {
    match soft < FILES {
        true => Finding::warning(Check::Files, format!("at most {soft} files may be open at once"))
            .why("each caller of the control socket takes one")
            .remedy(format!("ulimit -n {FILES}, or LimitNOFILE={FILES} in the service")),
        false => Finding::ok(Check::Files, format!("{soft} files may be open at once")),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Level, machine::tree},
        *,
    };

    #[test]
    fn missing_rights_are_named_and_weighed_by_who_asks() {
        let (_folder, machine) =
            tree(&[("proc/self/uid_map", "         0          0 4294967295\n")]);
        let lacks = [NEEDED[2]];
        let level = |missing, root, running| rights(&machine, missing, root, running).level;
        assert_eq!(level(&[], false, false), Level::Ok);
        assert_eq!(level(&lacks, true, false), Level::Problem);
        assert_eq!(level(&lacks, false, false), Level::Note);
        assert_eq!(level(&lacks, false, true), Level::Ok);
        assert!(rights(&machine, &lacks, true, false).found.contains("CAP_PERFMON"));
    }

    #[test]
    fn a_namespace_of_users_has_rights_that_do_not_count() {
        let (_folder, machine) = tree(&[("proc/self/uid_map", "0 100000 65536\n")]);
        assert_eq!(rights(&machine, &[], true, false).level, Level::Problem);
    }

    #[test]
    fn few_files_are_a_warning() {
        assert_eq!([files(256).level, files(1024).level], [Level::Warning, Level::Ok]);
    }
}
