//! What a process takes: memory, its maps in the kernel, file descriptors.

use std::{collections::BTreeMap, fmt, fs};

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

/// What a process takes at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Its memory without the maps, which are the kernel's.
    pub resident_bytes: u64,
    pub map_bytes: u64,
    pub files: usize,
}

impl Footprint {
    /// # Errors
    /// Where there is no such process.
    pub fn of(process: Pid) -> Result<Self> {
        Ok(Self {
            resident_bytes: resident_bytes(process)?,
            map_bytes: map_bytes(process)?,
            files: fs::read_dir(format!("/proc/{process}/fd"))?.count(),
        })
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let (resident, maps) = (mb(self.resident_bytes), mb(self.map_bytes));
        write!(f, "{resident:.1} MB resident, {maps:.1} MB of maps, {} files", self.files)
    }
}

/// Its memory without the maps.
///
/// # Errors
/// Where there is no such process.
pub fn resident_bytes(process: Pid) -> Result<u64> {
    status(process, "VmRSS:")
}

/// The most that [`resident_bytes`] has ever been.
///
/// # Errors
/// Where there is no such process.
pub fn peak_bytes(process: Pid) -> Result<u64> {
    status(process, "VmHWM:")
}

fn status(process: Pid, key: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("no {key}"))? << 10)
}

/// Kernel memory of the maps that a process holds.
///
/// # Errors
/// Where there is no such process.
pub fn map_bytes(process: Pid) -> Result<u64> {
    let mut maps = BTreeMap::new();
    for file in fs::read_dir(format!("/proc/{process}/fdinfo"))? {
        // A file may have been closed meanwhile.
        if let Ok(info) = fs::read_to_string(file?.path()) {
            maps.extend(map(&info));
        }
    }
    Ok(maps.values().sum())
}

/// The id of a map and its bytes, where this describes one.
fn map(info: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        let mut fields = info.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| *key == name)?.1.trim().parse().ok()
    };
    info.contains("map_type:").then_some((field("map_id")?, field("memlock")?))
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn maps_are_told_from_other_files() {
        let info = "pos:\t0\nmap_type:\t1\nkey_size:\t4\nmemlock:\t4096\nmap_id:\t7\nfrozen:\t0\n";
        assert_eq!(map(info), Some((7, 4096)));
        assert_eq!(map("pos:\t0\nprog_type:\t6\nmemlock:\t4096\nprog_id:\t9\n"), None);
    }
}
