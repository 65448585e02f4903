//! `fuzz`: each target of `tests/fuzz-targets` by libFuzzer, from its seeds and from
//! what earlier runs have found interesting.
//!
//! What cargo-fuzz does is compile: with a sanitizer, and with a counter in each
//! branch. The options for that are unstable, the compiler's runtime libraries for
//! it come with every toolchain; so the stable one does, with `RUSTC_BOOTSTRAP`.

mod outcome;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use self::outcome::Outcome;
use crate::{
    cargo, process, program,
    root::Root,
    side_by_side::side_by_side,
    verbs::{
        build, setup,
        test::{self, libtest::Totals},
    },
    workspace::Workspace,
};

/// What libFuzzer is compiled for.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// How long a target runs unless told.
const MINUTE: Duration = Duration::from_secs(60);

/// What every fuzzer is told: seconds of one input, MiB of memory, bytes of an
/// input, and to say at the end what it has done.
const OPTIONS: [&str; 4] =
    ["-timeout=60", "-rss_limit_mb=3072", "-max_len=65536", "-print_final_stats=1"];

/// Two sanitized programs in one process would be told of, and there are none.
const ASAN_OPTIONS: &str = "ASAN_OPTIONS=detect_odr_violation=0";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Targets to run [default: all]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each runs
    #[arg(long, value_name = "N", default_value_t = MINUTE.as_secs())]
    seconds: u64,
    /// All targets, a minute each, as `ci` does
    #[arg(long, conflicts_with_all = ["targets", "seconds", "packets"])]
    smoke: bool,
    /// Instead, judge this many mutated packets by the kernel program and by its
    /// host twin
    #[arg(long, value_name = "N", conflicts_with_all = ["targets", "seconds"])]
    packets: Option<u64>,
}

/// A target, as `fuzz-targets` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    name: String,
    needs_root: bool,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    if let Some(packets) = args.packets {
        build::build(workspace)?;
        let mut command = program::build(workspace, "packets")?;
        return program::become_it(command.arg(packets.to_string()));
    }
    if args.smoke {
        return Ok(test::finish(smoke(workspace)?));
    }
    Ok(test::finish(fuzz(workspace, &args.targets, Duration::from_secs(args.seconds))?))
}

/// A minute of each; a target that cannot run here counts as failed.
pub(crate) fn smoke(workspace: &Workspace) -> Result<Totals> {
    Ok(fuzz(workspace, &[], MINUTE)?.with_skips_failed())
}

/// Runs these targets, or all, and prints what became of each.
fn fuzz(workspace: &Workspace, chosen: &[String], time: Duration) -> Result<Totals> {
    ensure!(cfg!(target_arch = "x86_64"), "the fuzzers are for x86-64 only");
    let cargo_fuzz = setup::cargo_fuzz(workspace)?;
    build::build(workspace)?;
    let targets = seeds(workspace)?;
    let known = || targets.iter().map(|target| &*target.name).collect::<Vec<_>>().join(", ");
    for name in chosen {
        let is_known = targets.iter().any(|target| target.name == *name);
        ensure!(is_known, "there is no target {name}: choose among {}", known());
    }
    let targets: Vec<&Target> = targets
        .iter()
        .filter(|target| chosen.is_empty() || chosen.contains(&target.name))
        .collect();
    compile(workspace, &cargo_fuzz)?;
    let outcomes = side_by_side(&targets, |target| {
        eprintln!("fuzz: {} for {} s", target.name, time.as_secs());
        let outcome = attempt(workspace, target, time);
        eprint!("{}", outcome.notes());
        outcome
    });
    println!("\n{}", outcome::table(&outcomes));
    let mut totals = Totals::default();
    for outcome in &outcomes {
        totals += outcome.totals();
    }
    Ok(totals)
}

/// Below `target/fuzz`.
fn folder(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.target().join("fuzz").join(name)
}

/// Writes the seeds of every target; gives the targets.
fn seeds(workspace: &Workspace) -> Result<Vec<Target>> {
    let ask = || {
        let mut command = cargo::host(workspace);
        command.args(["run", "--quiet", "--locked", "--package", "fuzz-targets", "--"]);
        command
    };
    let seeds = folder(workspace, "seeds");
    if seeds.exists() {
        fs::remove_dir_all(&seeds).context("cannot remove the seeds of the last time")?;
    }
    process::run(ask().arg(&seeds)).context("cannot write the seeds")?;
    let names = process::answer(&mut ask()).context("the targets are not told")?;
    Ok(names.lines().map(target).collect())
}

/// `name`, or `name root`.
fn target(line: &str) -> Target {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default().to_owned();
    Target { name, needs_root: words.next() == Some("root") }
}

fn compile(workspace: &Workspace, cargo_fuzz: &Path) -> Result<()> {
    let mut command = Command::new(cargo_fuzz);
    if let Some(cargo) = std::env::var_os("CARGO") {
        command.env("CARGO", cargo);
    }
    process::run(
        command
            // By itself it compiles one unit, on one processor, for minutes.
            .args([
                "build",
                "--codegen-units",
                "16",
                "--strip-dead-code",
                "--target",
                TRIPLE,
                "--fuzz-dir",
            ])
            .arg(workspace.root().join("fuzz"))
            .arg("--target-dir")
            .arg(workspace.target().join("fuzz"))
            .env("RUSTC_BOOTSTRAP", "1")
            .env("SIPGUARD_OBJECT", workspace.object())
            .env_remove("CARGO_TARGET_DIR")
            .current_dir(workspace.root()),
    )
    .context("cannot build the fuzzers")
}

/// Runs one; whatever keeps it from that is a failure.
fn attempt(workspace: &Workspace, target: &Target, time: Duration) -> Outcome {
    let log = folder(workspace, "logs").join(format!("{}.log", target.name));
    let ran = start(workspace, target, time, &log);
    let text = fs::read(&log).unwrap_or_default();
    Outcome::read(&target.name, ran, &String::from_utf8_lossy(&text), &log)
}

/// Runs one to its end; gives whether it found nothing.
fn start(workspace: &Workspace, target: &Target, time: Duration, log: &Path) -> Result<bool> {
    let of_target = |name: &str| folder(workspace, name).join(&target.name);
    let (grown, findings) = (of_target("corpus"), of_target("findings"));
    for folder in [&grown, &findings, &folder(workspace, "logs")] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let program = folder(workspace, TRIPLE).join("release").join(&target.name);
    let mut command = match target.needs_root {
        true => Root::obtain("fuzzing the kernel program", "run `cargo xtask fuzz` again")?
            .command("/usr/bin/env"),
        false => Command::new("/usr/bin/env"),
    };
    cargo::forget_outer_cargo(&mut command);
    let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    // A minute is a check, alike each time; longer runs look for something new
    // (0 is a seed by chance).
    let seed = u8::from(time <= MINUTE);
    let status = command
        .arg(ASAN_OPTIONS)
        .arg(program)
        // The first folder is the one that grows.
        .args([grown, of_target("seeds")])
        .args(OPTIONS)
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-seed={seed}"))
        .arg(format!("-artifact_prefix={}/", findings.display()))
        .current_dir(workspace.target())
        .stdin(Stdio::null())
        .stdout(out.try_clone().context("the log")?)
        .stderr(out)
        .status()
        .with_context(|| format!("cannot start {}", target.name))?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::{Target, target};

    #[test]
    fn targets_say_whether_they_need_root() {
        let named = |name: &str, needs_root| Target { name: name.to_owned(), needs_root };
        assert_eq!(target("message"), named("message", false));
        assert_eq!(target("kernel root"), named("kernel", true));
    }
}
