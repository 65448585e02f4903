//! Where the daemon of root may write (Landlock, Linux 5.13). Everything is
//! root's own, so without capabilities, too, root could write a program or a
//! setting that others run or obey. From now on it writes data only.
//!
//! Programs of alerts inherit this, and places for data are there for them. Who
//! is not root owns nothing that matters, and is bound by the unit: there this
//! would only break programs that a drop-in of the unit lets write elsewhere.

use std::{fs, path::Path};

use landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
};
use nix::unistd::Uid;

use super::privilege::Places;

/// Where programs leave data; nobody takes programs or settings from there.
const DATA: [&str; 8] =
    ["/dev", "/media", "/mnt", "/srv", "/tmp", "/var/log", "/var/tmp", "/var/cache"];

/// Later ones would take away how devices are controlled, which is no writing.
const SINCE: ABI = ABI::V3;

/// Why it may write elsewhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum WritesError {
    #[error("this kernel has no Landlock, or it is off (see `lsm=` of the kernel)")]
    Unsupported,
    #[error(transparent)]
    Landlock(#[from] RulesetError),
}

/// Bounds this thread and all that it will start.
pub(super) fn confine(places: Places<'_>) -> Result<(), WritesError> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let every = AccessFs::from_write(SINCE);
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let mut ruleset = ruleset.handle_access(every)?.create()?;
    let data = DATA.map(Path::new).into_iter().chain([places.pins, places.state]);
    let mut allowed: Vec<(&Path, BitFlags<AccessFs>)> = data.map(|path| (path, every)).collect();
    // The socket goes at the end; what lies below the root is everything.
    if let Some(directory) = places.socket.parent().filter(|parent| is_bounded(parent)) {
        allowed.push((directory, AccessFs::RemoveFile.into()));
    }
    for (path, rights) in allowed {
        // What is not there cannot be written.
        if let Ok(descriptor) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(descriptor, rights))?;
        }
    }
    match ruleset.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => Err(WritesError::Unsupported),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

fn is_bounded(directory: &Path) -> bool {
    fs::canonicalize(directory).is_ok_and(|directory| directory != Path::new("/"))
}
