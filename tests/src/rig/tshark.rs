//! Captures as tshark, the command line of Wireshark, reads them.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Result, ensure};

use super::{process, tool::Tool};

/// How long it may take to read a capture.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it says of a file that ends within a packet.
const CUT_SHORT: &str = "cut short";

/// These fields of each packet that `filter` shows, all of a whole file.
///
/// # Errors
/// Where tshark finds anything wrong with the file.
pub fn fields(file: &Path, filter: &str, fields: &[&str]) -> Result<Vec<Vec<String>>> {
    let mut command = Command::new(Tool::Tshark.path()?);
    command.arg("-n").arg("-r").arg(file).args(["-Y", filter, "-T", "fields"]);
    command.args(["-E", "separator=/t", "-E", "occurrence=f"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let answer = process::run(&mut command, PATIENCE)?.success()?;
    ensure!(!answer.words().contains(CUT_SHORT), "{answer}");
    let cells = |line: &str| line.split('\t').map(str::to_owned).collect();
    Ok(answer.text().lines().map(cells).collect())
}
