//! The release binary, linked so that it starts on older systems than the one
//! that builds it.

use std::{fmt, fs};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{cargo, process, tools::sysroot, verbs::build, workspace::Workspace};

/// The C library of Debian 11 and Ubuntu 20.04; those of later ones are newer.
/// The reference and the package's dependency say the same.
const FLOOR: Glibc = Glibc(2, 31);

/// A version of the GNU C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Glibc(u32, u32);

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "glibc {}.{}", self.0, self.1)
    }
}

/// A binary that was built.
pub(super) struct Binary {
    /// The oldest C library that it starts with.
    pub(super) needs: Glibc,
}

/// Builds all as `build` does, then links once more.
pub(super) fn build(workspace: &Workspace) -> Result<()> {
    build::build(workspace)?;
    let sysroot = sysroot::ensure(workspace)?;
    process::run(
        cargo::host(workspace)
            .args(["rustc", "--package", "sipguard", "--bin", "sipguard", "--release", "--locked"])
            .arg("--")
            .args(sysroot::linking(&sysroot)),
    )
    .context("cannot link sipguard for older systems")
}

/// Looks whether it starts on older systems, and has the kernel program inside.
pub(super) fn check(workspace: &Workspace) -> Result<Binary> {
    let bytes = fs::read(workspace.sipguard()).context("cannot read the binary")?;
    let needs = newest(&bytes).context("the binary names no version of the C library")?;
    if needs > FLOOR {
        bail!("the binary needs {needs}, and was to start with {FLOOR}");
    }
    ensure!(has_program(workspace)?, "the binary has no kernel program inside");
    Ok(Binary { needs })
}

/// The newest version of the C library that a dynamic binary names. All names
/// of versions lie in it as text.
fn newest(binary: &[u8]) -> Option<Glibc> {
    const MARK: &[u8] = b"\0GLIBC_";
    let found = binary.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    found.filter_map(|(at, _)| version(binary.get(at + MARK.len()..)?)).max()
}

/// `2.31` or `2.2.5` up to a NUL.
fn version(text: &[u8]) -> Option<Glibc> {
    let text = text.split(|byte| *byte == 0).next().filter(|text| text.len() < 16)?;
    let mut numbers = std::str::from_utf8(text).ok()?.split('.').map(str::parse);
    Some(Glibc(numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// `doctor` says so, whatever else it finds here.
fn has_program(workspace: &Workspace) -> Result<bool> {
    let said = std::process::Command::new(workspace.sipguard())
        .args(["doctor", "--json"])
        .output()
        .context("cannot start sipguard")?;
    let said: serde_json::Value =
        serde_json::from_slice(&said.stdout).context("`sipguard doctor --json`")?;
    let findings = said["findings"].as_array().context("`sipguard doctor --json`")?;
    Ok(findings.iter().any(|finding| finding["check"] == "binary" && finding["level"] == "ok"))
}

#[cfg(test)]
mod tests {
    use super::{Glibc, newest};

    #[test]
    fn versions_are_compared_as_numbers() {
        let binary = b"x\0GLIBC_2.9\0GLIBC_2.30\0GLIBC_2.2.5\0GLIBC_PRIVATE\0y";
        assert_eq!(newest(binary), Some(Glibc(2, 30)));
        assert!(Glibc(2, 34) > Glibc(2, 31) && Glibc(2, 9) < Glibc(2, 31));
        assert_eq!(newest(b"static"), None);
    }
}
