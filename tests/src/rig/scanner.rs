//! Scanners, as they are.

use std::{net::IpAddr, time::Duration};

use anyhow::{Result, bail};

use super::{
    lab::{Lab, SERVER},
    process::{self, Finished},
    tool::{Tool, fixture},
};

/// Time limit of one scan.
const LIMIT: Duration = Duration::from_secs(30);

/// What svmap ends with where it has found nothing.
const SVMAP_FOUND_NOTHING: i32 = 30;

/// A tool and how it is used, from a stranger's address.
#[derive(Clone, Copy, Debug)]
pub enum Scan<'a> {
    /// svmap as it is, which calls itself friendly-scanner.
    Svmap,
    /// The same with another method than OPTIONS.
    SvmapMethod(&'a str),
    /// svmap that calls itself something else.
    SvmapRenamed(&'a str),
    /// sipsak with its OPTIONS request.
    Sipsak,
}

impl Scan<'_> {
    /// Scans [`SERVER`]; returns what was found, in the tool's words.
    ///
    /// # Errors
    /// Where the tool is missing or ends otherwise than after a scan.
    pub fn run(self, lab: &Lab) -> Result<Option<String>> {
        match self {
            Self::Svmap => svmap(lab, &["-m", "sipvicious.svmap"], &[]),
            Self::SvmapMethod(method) => {
                svmap(lab, &["-m", "sipvicious.svmap"], &["--method", method])
            }
            Self::SvmapRenamed(user_agent) => {
                let launcher = fixture("svmap_renamed.py");
                svmap(lab, &[&launcher.to_string_lossy(), user_agent], &[])
            }
            Self::Sipsak => sipsak(lab),
        }
    }
}

fn svmap(lab: &Lab, program: &[&str], arguments: &[&str]) -> Result<Option<String>> {
    let scan = process::run(
        lab.outside()
            .command(Tool::Sipvicious.path()?)?
            .args(program)
            .args(arguments)
            .arg(SERVER.to_string())
            // It keeps notes there.
            .env("HOME", lab.folder())
            .current_dir(lab.folder()),
        LIMIT,
    )?;
    let text = scan.text();
    match scan.code() {
        Some(SVMAP_FOUND_NOTHING) => Ok(None),
        Some(0) => match text.lines().find(|line| names(line, SERVER)) {
            Some(line) => Ok(Some(line.to_owned())),
            None => bail!("svmap has found something else:\n{scan}"),
        },
        _ => bail!("svmap has failed:\n{scan}"),
    }
}

fn sipsak(lab: &Lab) -> Result<Option<String>> {
    let uri = format!("sip:nobody@{SERVER}");
    let scan = process::run(
        lab.outside()
            .command(Tool::Sipsak.path()?)?
            // Its patience in units of half a second, instead of 64.
            .args(["-v", "-v", "-D", "4", "-s", &uri])
            .current_dir(lab.folder()),
        LIMIT,
    )?;
    let answer = scan.text().lines().find(|line| line.starts_with("SIP/2.0 ")).map(str::to_owned);
    match (&answer, is_timeout(&scan)) {
        (Some(_), false) | (None, true) => Ok(answer),
        _ => bail!("sipsak has failed:\n{scan}"),
    }
}

fn is_timeout(scan: &Finished) -> bool {
    scan.code() == Some(3) && (scan.text() + &scan.words()).contains("timeout")
}

fn names(line: &str, address: IpAddr) -> bool {
    line.contains(&format!("{address}:"))
}
