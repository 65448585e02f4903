//! Booting a kernel in a virtual machine.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{initramfs::Programs, plan::Step, report::Report};
use crate::{
    bounded,
    tools::{kernels::Kernel, qemu::Qemu},
};

/// Time limit of one virtual machine.
const LIMIT: Duration = Duration::from_secs(900);

/// Software emulation: it runs everywhere, and where /dev/kvm is there it need
/// not work. QEMU 7.2 spoils the flags at cmpxchg16b now and then, which ends in
/// a double fault of the guest; Linux does without that instruction.
const MACHINE: &[&str] = &[
    "-machine",
    "pc",
    "-accel",
    "tcg,thread=multi",
    "-cpu",
    "max,-cx16",
    "-smp",
    "2",
    "-m",
    "2048",
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-no-reboot",
];

/// What the kernel is told. A panic ends the machine.
const APPEND: &str = "console=ttyS0 panic=-1 quiet noapic";

/// What has become of a virtual machine.
pub(super) struct Ran {
    pub(super) took: Duration,
    pub(super) report: Report,
}

/// Boots the kernel and has it do these steps. Its files lie in `folder`.
pub(super) fn run(
    folder: &Path,
    qemu: &Qemu,
    kernel: &Kernel,
    programs: &Programs,
    steps: &[Step],
) -> Result<Ran> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let archive = folder.join("initramfs.cpio");
    programs.write(&archive, kernel, steps)?;

    let console = folder.join("console.log");
    let started = Instant::now();
    let mut bounded = Command::new(env::current_exe().context("cannot find this program")?);
    bounded.args(["bounded", "--seconds", &LIMIT.as_secs().to_string(), "--"]);
    let output = qemu
        .command(bounded)
        .args(MACHINE)
        // The kernel's console, then the port that the tests print to.
        .args(["-serial", &format!("file:{}", console.display()), "-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&archive)
        .args(["-append", APPEND])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start a virtual machine")?;
    let took = started.elapsed();
    let printed = String::from_utf8_lossy(&output.stdout);
    fs::write(folder.join("tests.log"), printed.as_bytes()).context("cannot keep what it said")?;
    let report = Report::read(&printed);
    if output.status.code() == Some(bounded::TIMED_OUT.into()) || !report.is_whole() {
        eprintln!("Linux {} has not come to its end; its console:", kernel.version);
        eprintln!("{}", String::from_utf8_lossy(&fs::read(&console).unwrap_or_default()));
    }
    Ok(Ran { took, report })
}
