//! Where things lie in the work tree.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The work tree and its target directory, both absolute.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the work tree that this xtask belongs to. The target directory is
    /// `CARGO_TARGET_DIR` (relative to the caller's directory) or `target/`.
    pub(crate) fn locate() -> Result<Self> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root =
            manifest_dir.parent().context("the xtask package has no parent folder")?.to_owned();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => std::path::absolute(dir).context("CARGO_TARGET_DIR")?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The project's own tools: bpf-linker and sipvicious.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    pub(crate) fn bpf_linker(&self) -> PathBuf {
        self.tools().join("bin/bpf-linker")
    }

    /// Target directory of the kernel program's build.
    pub(crate) fn bpf_target(&self) -> PathBuf {
        self.target.join("bpf")
    }

    /// The kernel program as `sipguard/build.rs` takes it in.
    pub(crate) fn object(&self) -> PathBuf {
        self.bpf_target().join("sipguard.o")
    }

    /// The XDP programs of the benchmarks.
    pub(crate) fn bench_object(&self) -> PathBuf {
        self.bpf_target().join("bench.o")
    }

    /// The release binary.
    pub(crate) fn sipguard(&self) -> PathBuf {
        self.target.join("release/sipguard")
    }

    /// `NAME=VALUE`: what programs of the package `tests` cannot know without
    /// cargo.
    pub(crate) fn environment(&self) -> [OsString; 5] {
        [
            ("SIPGUARD_BIN", self.sipguard()),
            ("SIPGUARD_OBJECT", self.object()),
            ("SIPGUARD_BENCH_OBJECT", self.bench_object()),
            ("SIPGUARD_TOOLS", self.tools()),
            ("SIPGUARD_ROOT", self.root().to_owned()),
        ]
        .map(|(name, value): (&str, PathBuf)| {
            let mut pair = OsString::from(name);
            pair.push("=");
            pair.push(value);
            pair
        })
    }

    /// `path` as a person in the work tree would write it.
    pub(crate) fn display<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}
