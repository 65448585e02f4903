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

/// Runs a tool of sipvicious under another name.
const LAUNCHER: &str = "sipvicious_renamed.py";

/// The extensions or passwords that are guessed.
const GUESSES: &str = "100-140";

/// A tool that sends many requests from a stranger's address, whatever comes
/// back.
#[derive(Clone, Copy, Debug)]
pub enum Attack<'a> {
    /// svwar with this method: looks for extensions.
    Svwar(&'a str),
    /// The same with REGISTER, calling itself something else.
    SvwarRenamed(&'a str),
    /// svcrack: guesses passwords.
    Svcrack,
    /// The same, calling itself something else.
    SvcrackRenamed(&'a str),
    /// sipsak's flood of this many OPTIONS.
    SipsakFlood(u32),
}

impl Attack<'_> {
    /// Attacks [`SERVER`] for some seconds; gives how the tool ended.
    ///
    /// # Errors
    /// Where the tool is missing or does not end.
    pub fn run(self, lab: &Lab) -> Result<Finished> {
        let svwar = |method| ["--force", "-e", GUESSES, "-m", method, "--maximumtime=5"];
        let svcrack = ["-u", "100", "-r", GUESSES, "--maximumtime=5"];
        match self {
            Self::Svwar(method) => sipvicious(lab, "svwar", None, &svwar(method)),
            Self::SvwarRenamed(name) => sipvicious(lab, "svwar", Some(name), &svwar("REGISTER")),
            Self::Svcrack => sipvicious(lab, "svcrack", None, &svcrack),
            Self::SvcrackRenamed(name) => sipvicious(lab, "svcrack", Some(name), &svcrack),
            Self::SipsakFlood(count) => process::run(
                lab.outside()
                    .command(Tool::Sipsak.path()?)?
                    .args(["-F", "-e", &count.to_string(), "-s", &format!("sip:nobody@{SERVER}")])
                    .current_dir(lab.folder()),
                LIMIT,
            ),
        }
    }
}

/// Runs a tool of sipvicious, under a name of its own or another one.
fn sipvicious(
    lab: &Lab,
    tool: &str,
    user_agent: Option<&str>,
    arguments: &[&str],
) -> Result<Finished> {
    let mut command = lab.outside().command(Tool::Sipvicious.path()?)?;
    match user_agent {
        Some(user_agent) => command.arg(fixture(LAUNCHER)).args([tool, user_agent]),
        None => command.args(["-m", &format!("sipvicious.{tool}")]),
    };
    command.args(arguments).arg(SERVER.to_string());
    // They keep notes there.
    process::run(command.env("HOME", lab.folder()).current_dir(lab.folder()), LIMIT)
}

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
                let launcher = fixture(LAUNCHER);
                svmap(lab, &[&launcher.to_string_lossy(), "svmap", user_agent], &[])
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
