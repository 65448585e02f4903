//! Puts the kernel program where the crate can take it in.
//!
//! `cargo xtask build` compiles it to `bpf/sipguard.o` in the target directory.
//! Where it has not been compiled an empty file takes its place, so that
//! `cargo check`, clippy and rust-analyzer do without the compiler for BPF.

use std::{
    env, fs,
    io::{Error, ErrorKind, Result},
    path::PathBuf,
};

fn main() -> Result<()> {
    let object = object()?;
    println!("cargo::rerun-if-env-changed=SIPGUARD_OBJECT");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    // For cargo a missing file has always changed: it will be seen once it is there.
    println!("cargo::rerun-if-changed={}", object.display());

    let bytes = match fs::read(&object) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    fs::write(folder("OUT_DIR")?.join("sipguard.o"), bytes)
}

/// `SIPGUARD_OBJECT`, or the place where `cargo xtask build` leaves the object.
fn object() -> Result<PathBuf> {
    if let Some(object) = env::var_os("SIPGUARD_OBJECT") {
        return Ok(object.into());
    }
    let root = folder("CARGO_MANIFEST_DIR")?.join("..");
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    // An absolute path replaces the root.
    Ok(root.join(target).join("bpf/sipguard.o"))
}

fn folder(variable: &str) -> Result<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("cargo did not set {variable}")))
}
