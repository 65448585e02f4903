//! The kernel.

use super::{Check, Finding, machine::Machine};
use crate::kernel::{KernelError, check_kernel, has_program};

pub(super) fn examine(machine: &Machine) -> Vec<Finding> {
    let mut findings = vec![version(machine, check_kernel())];
    findings.push(match has_program() {
        true => Finding::ok(Check::Binary, "this binary has the kernel program inside"),
        false => Finding::problem(Check::Binary, "this binary has no kernel program inside")
            .why("it can do everything but protect")
            .remedy("build it with `cargo xtask build`"),
    });
    findings.extend([types(machine), jit(machine), bpffs(machine)]);
    findings.extend(lockdown(machine));
    findings
}

fn version(machine: &Machine, verdict: Result<(), KernelError>) -> Finding {
    let release = machine.read("proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    match verdict {
        Ok(()) => Finding::ok(Check::Kernel, format!("Linux {release} has all that sipguard needs")),
        Err(error) => Finding::problem(Check::Kernel, error.to_string())
            .why("`sipguard run` refuses to start here")
            .remedy("install a newer kernel; on Debian 11, `apt install -t bullseye-backports linux-image-amd64`"),
    }
}

fn types(machine: &Machine) -> Finding {
    if machine.exists("sys/kernel/btf/vmlinux") {
        return Finding::ok(Check::Types, "the kernel's types (BTF) are there");
    }
    if !machine.exists("sys/kernel") {
        return Finding::note(
            Check::Types,
            "the kernel's types (BTF) cannot be seen: /sys is not there",
        );
    }
    Finding::warning(Check::Types, "the kernel has no types (BTF)")
        .why("who matches a signature over TCP is dropped, but not banned: nothing proves whose the connection is")
        .remedy("run a kernel with CONFIG_DEBUG_INFO_BTF=y, as distributions have it")
}

fn jit(machine: &Machine) -> Finding {
    // Who is not root may not read it everywhere.
    match machine.read("proc/sys/net/core/bpf_jit_enable").as_deref().map(str::trim) {
        Some("0") => Finding::warning(Check::Jit, "BPF is interpreted, not compiled")
            .why("each packet costs about ten times as much")
            .remedy("sysctl -w net.core.bpf_jit_enable=1"),
        Some(_) => Finding::ok(Check::Jit, "BPF is compiled to machine code"),
        None => Finding::note(Check::Jit, "whether BPF is compiled cannot be read by this user"),
    }
}

fn bpffs(machine: &Machine) -> Finding {
    let mounts = machine.read("proc/self/mounts").unwrap_or_default();
    let mounted = mounts.lines().any(|line| line.split(' ').nth(2) == Some("bpf"));
    match mounted {
        true => Finding::ok(Check::Bpffs, "a BPF file system is mounted"),
        false => Finding::note(Check::Bpffs, "no BPF file system is mounted")
            .why("fail mode keep pins the filter there; without one it leaves with sipguard")
            .remedy("mount -t bpf bpf /sys/fs/bpf"),
    }
}

fn lockdown(machine: &Machine) -> Option<Finding> {
    let state = machine.read("sys/kernel/security/lockdown")?;
    let (_, rest) = state.split_once('[')?;
    let (mode, _) = rest.split_once(']')?;
    Some(match mode {
        "confidentiality" => {
            Finding::problem(Check::Lockdown, "the kernel is locked down for confidentiality")
                .why("programs that read kernel memory are refused, which takes the proof from bans over TCP, or the whole filter")
                .remedy("boot with lockdown=integrity")
        }
        other => Finding::ok(Check::Lockdown, format!("lockdown is {other}, which is no obstacle")),
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Level, machine::tree},
        *,
    };

    #[test]
    fn an_old_kernel_is_a_problem_that_names_the_floor() {
        let (_folder, machine) = tree(&[("proc/sys/kernel/osrelease", "5.10.0-32-amd64\n")]);
        let too_old = KernelError::TooOld { found: "5.10.0".to_owned(), missing: "bpf_loop" };
        let finding = version(&machine, Err(too_old));
        assert_eq!(finding.level, Level::Problem);
        assert!(finding.found.contains("6.1 or newer"), "{finding:?}");
        assert!(finding.remedy.is_some());
        assert_eq!(version(&machine, Ok(())).level, Level::Ok);
    }

    #[test]
    fn a_bare_kernel_is_worse_than_a_full_one() {
        let (_folder, bare) =
            tree(&[("proc/sys/net/core/bpf_jit_enable", "0\n"), ("sys/kernel/x", "")]);
        let levels = [types(&bare), jit(&bare), bpffs(&bare)].map(|finding| finding.level);
        assert_eq!(levels, [Level::Warning, Level::Warning, Level::Note]);
        assert_eq!(lockdown(&bare), None);
        let (_folder, full) = tree(&[
            ("proc/sys/net/core/bpf_jit_enable", "1\n"),
            ("sys/kernel/btf/vmlinux", ""),
            ("proc/self/mounts", "bpf /sys/fs/bpf bpf rw 0 0\n"),
            ("sys/kernel/security/lockdown", "none integrity [confidentiality]\n"),
        ]);
        let levels = [types(&full), jit(&full), bpffs(&full)].map(|finding| finding.level);
        assert_eq!(levels, [Level::Ok; 3]);
        assert_eq!(lockdown(&full).map(|finding| finding.level), Some(Level::Problem));
        let (_folder, open) =
            tree(&[("sys/kernel/security/lockdown", "none [integrity] confidentiality\n")]);
        assert_eq!(lockdown(&open).map(|finding| finding.level), Some(Level::Ok));
    }
}
