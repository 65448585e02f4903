//! Which configuration directory is meant.

use std::path::{Path, PathBuf};

/// The directory of installed packages.
const SYSTEM: &str = "/etc/sipguard";
/// The directory of a checkout.
const LOCAL: &str = "./config";

/// There is no configuration directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoConfiguration {
    #[error("no configuration: neither {SYSTEM} nor {LOCAL} exists")]
    Nowhere,
    #[error("no configuration: {} is not a directory", .0.display())]
    NotADirectory(PathBuf),
}

/// The directory that was asked for, else `/etc/sipguard`, else `./config`.
///
/// # Errors
/// There is no such directory.
pub fn config_dir(asked: Option<&Path>) -> Result<PathBuf, NoConfiguration> {
    if let Some(dir) = asked {
        return match dir.is_dir() {
            true => Ok(dir.to_owned()),
            false => Err(NoConfiguration::NotADirectory(dir.to_owned())),
        };
    }
    [SYSTEM, LOCAL]
        .into_iter()
        .map(PathBuf::from)
        .find(|dir| dir.is_dir())
        .ok_or(NoConfiguration::Nowhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_taken_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(config_dir(Some(dir.path())), Ok(dir.path().to_owned()));
        let missing = dir.path().join("missing");
        assert_eq!(config_dir(Some(&missing)), Err(NoConfiguration::NotADirectory(missing)));
    }
}
