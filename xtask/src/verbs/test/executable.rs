//! The test executables of the workspace.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{cargo, verbs::build, workspace::Workspace};

/// The packages whose integration tests load the kernel program.
const KERNEL_TESTS: [&str; 2] = ["tests", "fuzz-targets"];

/// Something that prints what a libtest executable prints.
pub(crate) struct Executable {
    /// As a filter on the command line names it.
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// What comes before libtest's own arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Where cargo would run it: its package's folder.
    pub(crate) folder: PathBuf,
    pub(crate) needs_root: bool,
}

/// Compiles every test of the host crates, with overflow checks and debug
/// assertions: the tests are there to find what these find.
pub(crate) fn build_all(workspace: &Workspace) -> Result<Vec<Executable>> {
    let output = cargo::host(workspace)
        .args(["test", "--no-run", "--workspace", "--locked"])
        .args(build::WITHOUT_KERNEL_PROGRAMS)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "cannot build the tests");
    let messages = String::from_utf8(output.stdout).context("cargo's messages")?;
    Ok(messages.lines().filter_map(executable).collect())
}

/// An executable's own name chooses it whole; other filters go to libtest.
/// Returns the chosen ones and the filters for libtest.
pub(crate) fn choose(
    executables: Vec<Executable>,
    filters: &[String],
) -> (Vec<Executable>, Vec<String>) {
    let named = |filter: &String| executables.iter().any(|executable| executable.name == *filter);
    let (names, rest): (Vec<String>, Vec<String>) = filters.iter().cloned().partition(named);
    let chosen = executables
        .into_iter()
        .filter(|executable| names.is_empty() || names.contains(&executable.name))
        .collect();
    (chosen, rest)
}

/// The test executable that one of cargo's messages speaks of, if it does.
fn executable(message: &str) -> Option<Executable> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["profile"]["test"] != true {
        return None;
    }
    let program = message["executable"].as_str()?;
    let target = message["target"]["name"].as_str()?;
    let kind = message["target"]["kind"][0].as_str()?;
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    let package = folder.file_name()?.to_str()?;
    let is_integration_test = kind == "test";
    Some(Executable {
        // A package's library and binary may share a name.
        name: if is_integration_test { target.to_owned() } else { format!("{package}/{kind}") },
        program: program.into(),
        arguments: Vec::new(),
        folder: folder.to_owned(),
        needs_root: is_integration_test && KERNEL_TESTS.contains(&package),
    })
}

#[cfg(test)]
mod tests {
    use super::{Executable, choose, executable};

    fn message(package: &str, kind: &str, test: bool) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","manifest_path":"/w/{package}/Cargo.toml",
                "target":{{"kind":["{kind}"],"name":"some"}},"profile":{{"test":{test}}},
                "executable":"/t/some-1"}}"#
        )
    }

    fn names(executables: &[Executable]) -> Vec<&str> {
        executables.iter().map(|executable| executable.name.as_str()).collect()
    }

    #[test]
    fn only_kernel_tests_need_root() {
        let needs_root = |package, kind| {
            executable(&message(package, kind, true)).map(|executable| executable.needs_root)
        };
        assert_eq!(needs_root("tests", "test"), Some(true));
        assert_eq!(needs_root("tests", "lib"), Some(false));
        assert_eq!(needs_root("sipguard", "test"), Some(false));
    }

    #[test]
    fn what_is_no_test_is_left_out() {
        assert!(executable(&message("sipguard", "bin", false)).is_none());
        assert!(executable(r#"{"reason":"build-finished","success":true}"#).is_none());
    }

    #[test]
    fn a_name_chooses_an_executable_and_the_rest_goes_to_libtest() {
        let all = || {
            ["tests", "sipguard"]
                .into_iter()
                .filter_map(|package| executable(&message(package, "lib", true)))
                .collect::<Vec<_>>()
        };
        let (chosen, rest) = choose(all(), &["tests/lib".to_owned(), "vlan".to_owned()]);
        assert_eq!(names(&chosen), ["tests/lib"]);
        assert_eq!(rest, ["vlan"]);

        let (chosen, rest) = choose(all(), &["vlan".to_owned()]);
        assert_eq!(names(&chosen), ["tests/lib", "sipguard/lib"]);
        assert_eq!(rest, ["vlan"]);
    }
}
