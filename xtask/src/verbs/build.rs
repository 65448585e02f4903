//! `build`: the kernel program, then the release binary with it inside.

use std::{
    borrow::Cow,
    ffi::OsString,
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    cargo, process,
    root::Root,
    tools::{linker, toolchain::Toolchain},
    verbs::setup,
    workspace::Workspace,
};

const BPF_TARGET: &str = "bpfel-unknown-none";

/// The kernel program's profile. Given by the environment, so that the host's
/// release profile stays as it is. Debug information carries the BTF types.
const BPF_PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
];

/// Instructions of cpu v3 let the verifier track ranges better than generic
/// ones; v4 needs Linux 6.6. With misaligned access allowed, an unaligned load
/// of 8 bytes is 13 instructions instead of 34.
const BPF_CODEGEN: &[&str] = &[
    "link-arg=--btf",
    "debuginfo=2",
    "target-cpu=v3",
    "link-arg=--cpu-features=+allows-misaligned-mem-access",
];

/// The packages for BPF, which are not compiled for the host.
pub(crate) const KERNEL_PROGRAMS: [&str; 2] = [FILTER, BENCH];
const FILTER: &str = "sipguard-ebpf";
const BENCH: &str = "bench-ebpf";

/// For cargo commands on the whole workspace.
pub(crate) const WITHOUT_KERNEL_PROGRAMS: &[&str] = &["--exclude", FILTER, "--exclude", BENCH];

pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    build(workspace)?;
    Ok(ExitCode::SUCCESS)
}

/// Sets up and builds, and prints what was built.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let toolchain = setup::kernel_program(workspace)?;
    println!("toolchain: {toolchain}, {}", linker::name());
    let size = kernel_program(workspace, &toolchain, FILTER, &workspace.object())?;
    println!("kernel program: {} ({size} bytes)", workspace.display(&workspace.object()));
    sipguard(workspace)?;
    println!("sipguard: {}", workspace.display(&workspace.sipguard()));
    print_sizes(workspace)
}

/// What the verifier says of the kernel programs. Asking it takes root, which
/// a build alone is not worth asking for: the tests hold the budget.
fn print_sizes(workspace: &Workspace) -> Result<()> {
    if !matches!(Root::find(), Some(Root::Already)) {
        println!("verifier: not asked, that takes root; `cargo xtask test` holds the budget");
        return Ok(());
    }
    let info = Command::new(workspace.sipguard())
        .arg("program-info")
        .output()
        .context("cannot start sipguard")?;
    // Without the rights to load it, as in a container, there is nothing to
    // measure; over the budget is an error.
    for line in text(&info.stdout).lines().chain(text(&info.stderr).lines()) {
        println!("verifier: {line}");
    }
    ensure!(info.status.success() || info.stdout.is_empty(), "a kernel program is over its budget");
    Ok(())
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The XDP programs of the benchmarks and of their smoke test.
pub(crate) fn bench_programs(workspace: &Workspace) -> Result<()> {
    let toolchain = setup::kernel_program(workspace)?;
    kernel_program(workspace, &toolchain, BENCH, &workspace.bench_object())?;
    Ok(())
}

/// The size in bytes of the object that it builds.
fn kernel_program(
    workspace: &Workspace,
    toolchain: &Toolchain,
    package: &str,
    object: &Path,
) -> Result<usize> {
    let target = workspace.bpf_target();
    process::run(
        toolchain
            .cargo_build()
            .args(["--package", package, "--target", BPF_TARGET, "--release", "--locked"])
            .arg("--target-dir")
            .arg(&target)
            .envs(BPF_PROFILE.iter().copied())
            .env("CARGO_ENCODED_RUSTFLAGS", rustflags(&workspace.bpf_linker()))
            .current_dir(workspace.root()),
    )
    .with_context(|| format!("cannot build {package}"))?;
    let built = target.join(BPF_TARGET).join("release").join(package);
    copy_if_changed(&built, object)
}

/// The flags in cargo's encoding, which lets paths have spaces.
fn rustflags(linker: &Path) -> OsString {
    let mut flags = OsString::from("-Clinker=");
    flags.push(linker);
    for option in BPF_CODEGEN {
        flags.push("\x1f-C");
        flags.push(option);
    }
    flags
}

/// Leaves the copy's time alone where nothing changed, for sipguard is rebuilt
/// after it.
fn copy_if_changed(from: &Path, to: &Path) -> Result<usize> {
    let object = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).ok().as_ref() != Some(&object) {
        fs::write(to, &object).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(object.len())
}

fn sipguard(workspace: &Workspace) -> Result<()> {
    process::run(cargo::host(workspace).args([
        "build",
        "--package",
        "sipguard",
        "--release",
        "--locked",
    ]))
    .context("cannot build sipguard")?;
    ensure!(
        workspace.sipguard().exists(),
        "cargo built sipguard elsewhere than {}: remove `build.target` from your cargo settings",
        workspace.sipguard().display()
    );
    Ok(())
}
