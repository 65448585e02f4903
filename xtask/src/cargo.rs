//! Calling cargo from within `cargo run`.

use std::{env, ffi::OsString, process::Command};

use crate::workspace::Workspace;

/// What a cargo or rustup that started us has set for its own purposes; a
/// compiler of another version would be misled by it.
const SET_BY_OUTER_CARGO: &[&str] = &[
    "CARGO",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "LD_LIBRARY_PATH",
    "OUT_DIR",
    "RUST_RECURSION_COUNT",
];

/// What would choose another compiler, wrap it, or change its flags or target.
const CHOOSES_COMPILER: &[&str] = &[
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// The cargo that runs us, for the workspace's host crates.
pub(crate) fn host(workspace: &Workspace) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    forget_outer_cargo(&mut command);
    command.current_dir(workspace.root());
    // The path of the release binary is known only without a target triple.
    command.env_remove("CARGO_BUILD_TARGET");
    // Left unset where the caller left it unset: a variable that comes and goes
    // would rebuild sipguard whenever a person changes between cargo and xtask.
    if env::var_os("CARGO_TARGET_DIR").is_some() {
        command.env("CARGO_TARGET_DIR", workspace.target());
    }
    command
}

/// Makes `command`, a cargo of another toolchain, independent of the cargo that
/// runs us.
pub(crate) fn detach(command: &mut Command) {
    forget_outer_cargo(command);
    for name in CHOOSES_COMPILER {
        command.env_remove(name);
    }
    command.env_remove("CARGO_BUILD_TARGET");
}

/// Removes what cargo sets for the program that it runs.
pub(crate) fn forget_outer_cargo(command: &mut Command) {
    for name in SET_BY_OUTER_CARGO {
        command.env_remove(name);
    }
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}
