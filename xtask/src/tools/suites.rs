//! An apt with folders of its own: it knows suites that this machine does not
//! use, and installs nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};

use crate::{process, workspace::Workspace};

const APT_GET: &str = "/usr/bin/apt-get";
const APT_CACHE: &str = "/usr/bin/apt-cache";
const APT_CONFIG: &str = "/usr/bin/apt-config";

/// Those that kernels, the oldest C library and test roots come from.
const SUITES: [&str; 4] = ["bullseye", "bookworm", "trixie", "trixie-backports"];
/// The keys of Debian's archive.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];
/// How long the lists are good for.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// What this apt reads of where, without the machine's own hooks.
const SETTINGS: &str = r#"
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::status "/dev/null";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
"#;

pub(crate) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Lays out its folders and settings, and fetches the lists of packages.
    pub(crate) fn open(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.target().join("kernels/apt");
        let apt = Self { folder: folder.clone() };
        for name in ["lists/partial", "cache/archives/partial"] {
            let folder = folder.join(name);
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let settings = format!(
            "{}{SETTINGS}Dir::Etc::sourcelist \"{folder}/sources.list\";\n\
             Dir::State::lists \"{folder}/lists\";\nDir::Cache \"{folder}/cache\";\n",
            acquire(),
            folder = folder.display(),
        );
        fs::write(apt.settings(), settings).context("cannot write apt's settings")?;
        apt.update()?;
        Ok(apt)
    }

    /// Downloads packages, each as apt knows it (`name` or `name/suite`), and
    /// unpacks them into `into`, which it makes.
    pub(crate) fn unpack(&self, packages: &[String], into: &Path) -> Result<()> {
        let archives = into.join("packages");
        fs::create_dir_all(&archives)
            .with_context(|| format!("cannot make {}", archives.display()))?;
        process::run(
            self.command(APT_GET)
                .args(["download", "--quiet=2"])
                .args(packages)
                .current_dir(&archives),
        )?;
        for archive in fs::read_dir(&archives)? {
            process::run(Command::new("dpkg-deb").arg("-x").arg(archive?.path()).arg(into))?;
        }
        Ok(())
    }

    /// What apt shows of a package, in its newest version.
    pub(crate) fn show(&self, package: &str) -> Result<String> {
        self.ask(APT_CACHE, &["show", package])
    }

    /// The same of all versions.
    pub(crate) fn show_all(&self, package: &str) -> Result<String> {
        self.ask(APT_CACHE, &["show", "--all-versions", package])
    }

    /// Fetches the lists of packages, unless they are fresh. A suite that cannot
    /// be had takes no other with it.
    fn update(&self) -> Result<()> {
        let sources = sources()?;
        let (list, stamp) = (self.folder.join("sources.list"), self.folder.join("updated"));
        if fs::read_to_string(&list).is_ok_and(|known| known == sources) && is_fresh(&stamp) {
            return Ok(());
        }
        fs::write(&list, sources).context("cannot write apt's sources")?;
        let update = ["update", "--quiet=2", "-o", "APT::Update::Error-Mode=any"];
        match process::run(self.command(APT_GET).args(update)) {
            Ok(()) => fs::write(&stamp, "").context("cannot note the time of the lists"),
            // Old lists may do, and so may those of the other suites.
            Err(error) => {
                eprintln!("warning: some lists of packages are old or missing: {error:#}");
                Ok(())
            }
        }
    }

    fn ask(&self, program: &str, arguments: &[&str]) -> Result<String> {
        process::answer(self.command(program).args(arguments))
            .with_context(|| format!("`{program} {}` has no answer", arguments.join(" ")))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.settings());
        command
    }

    fn settings(&self) -> PathBuf {
        self.folder.join("apt.conf")
    }
}

fn is_fresh(stamp: &Path) -> bool {
    let written = fs::metadata(stamp).and_then(|metadata| metadata.modified()).ok();
    written
        .and_then(|written| SystemTime::now().duration_since(written).ok())
        .is_some_and(|age| age < FRESH)
}

/// How this machine reaches its mirror, proxies and all.
pub(crate) fn acquire() -> String {
    let all = process::answer(Command::new(APT_CONFIG).arg("dump")).unwrap_or_default();
    all.lines()
        .filter(|line| line.starts_with("Acquire::"))
        .fold(String::new(), |text, line| text + line + "\n")
}

fn sources() -> Result<String> {
    Ok(SUITES.map(source).into_iter().collect::<Result<Vec<_>>>()?.concat())
}

/// The line of a suite for apt's sources.
pub(crate) fn source(suite: &str) -> Result<String> {
    let targets = process::answer(Command::new(APT_GET).args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(COMPONENT) $(RELEASE) $(REPO_URI)",
        "Created-By: Packages",
    ]))
    .unwrap_or_default();
    let mirror =
        mirror(&targets).context("apt's sources on this machine name no mirror of Debian")?;
    let keyring = KEYRINGS.iter().find(|path| Path::new(path).exists());
    ensure!(keyring.is_some(), "the package debian-archive-keyring is missing");
    let signed = keyring.map(|path| format!("signed-by={path}")).unwrap_or_default();
    Ok(format!("deb [arch=amd64 {signed}] {mirror} {suite} main\n"))
}

/// The mirror of Debian among the sources of this machine: lines of origin,
/// component, suite and address. Archives of security fixes and the like, whose
/// suites have a hyphen, may lie elsewhere.
fn mirror(targets: &str) -> Option<&str> {
    targets.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (origin, component) = (words.next()?, words.next()?);
        let (suite, address) = (words.next()?, words.next()?);
        // apt leaves the word as it is where it has not fetched the suite yet.
        let is_debian = matches!(origin, "Debian" | "$(ORIGIN)");
        (is_debian && component == "main" && !suite.contains(['-', '/'])).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::mirror;

    #[test]
    fn the_mirror_is_that_of_debian_itself() {
        let targets = "Node main nodistro https://a.example/node/\n\
            Debian main bookworm-security https://b.example/debian-security/\n\
            Debian contrib bookworm https://c.example/other/\n\
            Debian main bookworm https://d.example/debian/\n";
        assert_eq!(mirror(targets), Some("https://d.example/debian/"));
        assert_eq!(mirror("$(ORIGIN) main bookworm file:/x\n"), Some("file:/x"));
        assert_eq!(mirror("Ubuntu main noble https://e.example/\n\n"), None);
    }
}
