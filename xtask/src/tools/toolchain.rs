//! The compiler of the kernel program: Debian's packages or a rustup nightly.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{apt, packages};
use crate::{cargo, process, root::Root};

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LLVM: &str = "/usr/lib/llvm-22";
/// Edition 2024 and the workspace's `rust-version`.
const OLDEST_RUSTC_MINOR: u32 = 95;
/// Crates of the kernel program that use unstable features, such as inline
/// assembly for BPF.
const UNSTABLE_CRATES: &str = "aya_ebpf,sipguard_common,sipguard_ebpf";
/// The versions of LLVM that bpf-linker can be built with.
const LINKER_LLVMS: std::ops::RangeInclusive<u32> = 21..=23;

/// Which of the two ways of compiling the kernel program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A rustc with a ready core library for BPF.
    Debian,
    /// A nightly that builds the core library from rust-src.
    Rustup,
}

/// A complete compiler for the kernel program.
pub(crate) struct Toolchain {
    way: Way,
    rustc: RustcVersion,
}

/// What `rustc -vV` says.
#[derive(Debug, PartialEq, Eq)]
struct RustcVersion {
    release: String,
    minor: u32,
    llvm: u32,
}

impl Toolchain {
    /// The complete compiler that this machine has; Debian's where it has both.
    pub(crate) fn find() -> Option<Self> {
        Self::find_debian().or_else(Self::find_rustup)
    }

    /// Finds a compiler, or installs one after saying so.
    pub(crate) fn ensure() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        eprintln!("setup: found no complete compiler for the kernel program");
        if let Some(found) = Self::install_debian()? {
            return Ok(found);
        }
        if let Some(found) = Self::install_rustup()? {
            return Ok(found);
        }
        bail!(
            "no compiler for the kernel program: neither can Debian's packages be installed here \
             (they need apt, root or sudo, and a Debian that has {}), nor is there rustup; \
             install rustup from https://rustup.rs and try again",
            packages::KERNEL_PROGRAM
                .iter()
                .map(|package| package.name)
                .collect::<Vec<_>>()
                .join(" ")
        )
    }

    /// A cargo of this compiler that knows nothing of the cargo that runs us.
    /// Takes the subcommand, for rustup's build needs an option of its own.
    pub(crate) fn cargo_build(&self) -> Command {
        match self.way {
            Way::Debian => {
                let mut command = Command::new(DEBIAN_CARGO);
                cargo::detach(&mut command);
                command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", UNSTABLE_CRATES);
                command.arg("build");
                command
            }
            Way::Rustup => {
                let mut command = Command::new("rustup");
                cargo::detach(&mut command);
                command.args(["run", "nightly", "cargo", "build", "-Z", "build-std=core"]);
                command
            }
        }
    }

    /// The LLVM that bpf-linker has to be built with: its major version and its
    /// folder. It must not be older than the compiler's own.
    pub(crate) fn llvm(&self) -> Result<(u32, PathBuf)> {
        if self.way == Way::Debian {
            return Ok((22, PathBuf::from(DEBIAN_LLVM)));
        }
        let oldest = self.rustc.llvm.max(*LINKER_LLVMS.start());
        (oldest..=*LINKER_LLVMS.end())
            .map(|major| (major, PathBuf::from(format!("/usr/lib/llvm-{major}"))))
            .find(|(_, folder)| folder.join("include/llvm-c/Core.h").exists())
            .with_context(|| {
                format!(
                    "bpf-linker for {self} needs the development files of LLVM {oldest} to {} \
                     below /usr/lib/llvm-*: install the package llvm-{oldest}-dev",
                    LINKER_LLVMS.end()
                )
            })
    }

    fn find_debian() -> Option<Self> {
        if !packages::missing(packages::KERNEL_PROGRAM).is_empty() {
            return None;
        }
        let mut rustc = Command::new(DEBIAN_RUSTC);
        cargo::detach(&mut rustc);
        Self::with_compiler(Way::Debian, &mut rustc)
    }

    fn find_rustup() -> Option<Self> {
        let mut which = Command::new("rustup");
        cargo::detach(&mut which);
        let rustc = process::answer(which.args(["which", "--toolchain", "nightly", "rustc"]))?;
        let rustc = Path::new(rustc.trim_end());
        let sysroot = rustc.parent()?.parent()?;
        if !sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").exists() {
            return None;
        }
        let mut rustc = Command::new(rustc);
        cargo::detach(&mut rustc);
        Self::with_compiler(Way::Rustup, &mut rustc)
    }

    fn with_compiler(way: Way, rustc: &mut Command) -> Option<Self> {
        let rustc = RustcVersion::parse(&process::answer(rustc.arg("-vV"))?)?;
        (rustc.minor >= OLDEST_RUSTC_MINOR).then_some(Self { way, rustc })
    }

    /// `None` where Debian's packages are not to be had.
    fn install_debian() -> Result<Option<Self>> {
        let missing = packages::missing(packages::KERNEL_PROGRAM);
        if missing.is_empty() || !apt::is_there() || Root::find().is_none() {
            return Ok(None);
        }
        let root = Root::obtain("installing Debian packages for the kernel program", "try again")?;
        if !apt::offers(&missing, &root)? {
            eprintln!("setup: apt does not offer Debian's packages for it");
            return Ok(None);
        }
        apt::install(&missing, &root)?;
        Self::find_debian()
            .with_context(|| format!("Debian's rustc is older than 1.{OLDEST_RUSTC_MINOR}"))
            .map(Some)
    }

    /// `None` where there is no rustup.
    fn install_rustup() -> Result<Option<Self>> {
        if process::find_program("rustup").is_none() {
            return Ok(None);
        }
        eprintln!("setup: will install the rustup toolchain nightly with rust-src");
        let mut rustup = Command::new("rustup");
        cargo::detach(&mut rustup);
        process::run(
            rustup
                .args(["toolchain", "install", "nightly", "--profile", "minimal"])
                .args(["--component", "rust-src"]),
        )?;
        Self::find_rustup().context("the installed nightly is not complete").map(Some)
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RustcVersion { release, llvm, .. } = &self.rustc;
        match self.way {
            Way::Debian => write!(f, "rustc {release} (Debian packages, LLVM {llvm})"),
            Way::Rustup => write!(f, "rustc {release} (rustup nightly with rust-src, LLVM {llvm})"),
        }
    }
}

impl RustcVersion {
    fn parse(verbose: &str) -> Option<Self> {
        let field = |name: &str| verbose.lines().find_map(|line| line.strip_prefix(name));
        let release = field("release: ")?;
        Some(Self {
            release: release.to_owned(),
            minor: release.strip_prefix("1.")?.split('.').next()?.parse().ok()?,
            llvm: field("LLVM version: ")?.split('.').next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::RustcVersion;

    #[test]
    fn rustc_version_of_a_nightly() {
        let said = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\n\
                    host: x86_64-unknown-linux-gnu\nrelease: 1.97.0-nightly\nLLVM version: 22.1.5\n";
        let expected = RustcVersion { release: "1.97.0-nightly".to_owned(), minor: 97, llvm: 22 };
        assert_eq!(RustcVersion::parse(said), Some(expected));
    }

    #[test]
    fn rustc_version_of_something_else() {
        assert_eq!(RustcVersion::parse("release: two\nLLVM version: 22.1\n"), None);
        assert_eq!(RustcVersion::parse(""), None);
    }
}
