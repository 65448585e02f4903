//! Debian's kernels, downloaded and unpacked once for each version.

mod modules;
mod version;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};

use self::version::Offer;
pub(crate) use self::version::Series;
use super::suites::Apt;
use crate::workspace::Workspace;

/// The package that stands for the current cloud kernel of each suite.
const CURRENT: &str = "linux-image-cloud-amd64";

/// What attaching takes: a network to attach to, and what traffic control
/// takes a program with.
const MODULES: &[&str] = &["veth", "sch_ingress", "cls_bpf"];

/// A kernel ready to boot.
pub(crate) struct Kernel {
    /// Linux's version, such as 6.1.176.
    pub(crate) version: String,
    pub(crate) image: PathBuf,
    /// In the order in which they load.
    pub(crate) modules: Vec<PathBuf>,
}

/// The kernels on this machine and those to be had.
pub(crate) struct Store {
    folder: PathBuf,
    apt: Apt,
    offers: Vec<Offer>,
}

impl Store {
    /// Asks which kernels there are.
    pub(crate) fn open(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.target().join("kernels");
        let apt = Apt::open(workspace)?;
        let offers = version::offers(&apt.show_all(CURRENT)?);
        Ok(Self { folder, apt, offers })
    }

    /// The kernel that is meant, after a download where it is not here yet.
    ///
    /// # Errors
    /// Where no suite offers it, or it cannot be had.
    pub(crate) fn kernel(&self, series: Series) -> Result<Kernel> {
        let offer = series
            .choose(&self.offers)
            .ok_or_else(|| anyhow!("no suite that apt reaches here offers such a kernel"))?;
        let folder = self.folder.join(&offer.package);
        if !folder.exists() {
            eprintln!("kernels: will download Linux {} ({})", offer.version(), offer.package);
            self.fetch(offer, &folder)?;
        }
        let mut modules = list(&folder.join("modules"))?;
        modules.sort();
        Ok(Kernel { version: offer.version(), image: folder.join("vmlinuz"), modules })
    }

    fn fetch(&self, offer: &Offer, folder: &Path) -> Result<()> {
        // Beside the folder, which appears as a whole or not at all.
        let beside = |suffix| self.folder.join(format!("{}.{suffix}", offer.package));
        let (unpacked, made) = (beside("unpacked"), beside("made"));
        for old in [&unpacked, &made] {
            if old.exists() {
                fs::remove_dir_all(old)
                    .with_context(|| format!("cannot remove {}", old.display()))?;
            }
        }
        let parts = version::parts(&self.apt.show(&offer.package)?);
        let packages = if parts.is_empty() { vec![offer.package.clone()] } else { parts };
        self.apt.unpack(&packages, &unpacked)?;
        assemble(&unpacked, &made)?;
        fs::rename(&made, folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::remove_dir_all(&unpacked)
            .with_context(|| format!("cannot remove {}", unpacked.display()))
    }
}

/// Takes from unpacked packages what a guest needs.
fn assemble(unpacked: &Path, made: &Path) -> Result<()> {
    let modules = made.join("modules");
    fs::create_dir_all(&modules).with_context(|| format!("cannot make {}", modules.display()))?;
    let tree = ["lib/modules", "usr/lib/modules"].map(|tree| unpacked.join(tree));
    let tree = tree.iter().find(|tree| tree.exists()).context("the packages have no modules")?;
    let image = image(&unpacked.join("boot"), tree).context("the packages have no kernel")?;
    fs::copy(image, made.join("vmlinuz")).context("cannot copy the kernel")?;
    for (number, (name, module)) in (0..).zip(modules::collect(tree, MODULES)?) {
        let number: u32 = number;
        fs::write(modules.join(format!("{number:02}-{name}.ko")), module)
            .context("cannot write a module")?;
    }
    Ok(())
}

/// The kernel itself: in `boot`, or with its modules since Linux 6.19.
fn image(boot: &Path, tree: &Path) -> Option<PathBuf> {
    let versions = list(tree).unwrap_or_default();
    let with_modules = versions.into_iter().map(|version| version.join("vmlinuz"));
    let is_image = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("vmlinuz") && path.is_file()
    };
    list(boot).unwrap_or_default().into_iter().chain(with_modules).find(is_image)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}
