//! The package itself, by cargo-deb; what is in it stands in sipguard/Cargo.toml.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{cargo, process, workspace::Workspace};

/// A package that was built.
pub(super) struct Package {
    pub(super) path: PathBuf,
    pub(super) version: String,
    /// Bytes of its files.
    pub(super) installed: u64,
}

pub(super) fn build(workspace: &Workspace, cargo_deb: &Path) -> Result<Package> {
    let folder = workspace.target().join("dist");
    fs::create_dir_all(&folder).context("cannot make the folder of packages")?;
    let mut command = Command::new(cargo_deb);
    cargo::forget_outer_cargo(&mut command);
    process::run(
        command
            .args(["--package", "sipguard", "--no-build", "--locked", "--quiet", "--output"])
            .arg(&folder)
            .current_dir(workspace.root()),
    )
    .context("cannot make the package")?;
    let package = read(folder.join(format!("sipguard_{}_amd64.deb", env!("CARGO_PKG_VERSION"))))?;
    ensure!(package.version == env!("CARGO_PKG_VERSION"), "its version is {}", package.version);
    Ok(package)
}

/// The same package under another version, with a line more in a file that it
/// brings.
pub(super) fn repacked(
    package: &Package,
    version: &str,
    (file, line): (&str, &str),
) -> Result<Package> {
    // Not beside the real one, where somebody would take it for that.
    let trial = package.path.with_file_name("trial");
    fs::create_dir_all(&trial).context("cannot make the folder of trials")?;
    let folder = trial.join("repacked");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove the last repacked package")?;
    }
    process::run(Command::new("dpkg-deb").arg("--raw-extract").arg(&package.path).arg(&folder))?;
    edit(&folder.join("DEBIAN/control"), |text| {
        text.replace(&format!("Version: {}\n", package.version), &format!("Version: {version}\n"))
    })?;
    edit(&folder.join(file), |text| text + line)?;
    let path = trial.join(format!("sipguard_{version}_amd64.deb"));
    process::run(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Zgzip", "--build"])
            .args([&folder, &path])
            .stdout(std::process::Stdio::null()),
    )?;
    fs::remove_dir_all(&folder).context("cannot remove the repacked package")?;
    read(path)
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) -> Result<()> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    fs::write(path, change(text)).with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: PathBuf) -> Result<Package> {
    let field = |name| {
        process::answer(Command::new("dpkg-deb").arg("--field").arg(&path).arg(name))
            .with_context(|| format!("{} has no {name}", path.display()))
    };
    let version = field("Version")?.trim().to_owned();
    // In KiB.
    let installed = field("Installed-Size")?.trim().parse::<u64>().context("its size")? << 10;
    Ok(Package { path, version, installed })
}
