//! Scanners, as they are.

use std::{net::IpAddr, process::Command, time::Duration};

use anyhow::{Result, bail};

use super::{
    lab::{Lab, SERVER},
    process::{self, Finished, Process},
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

/// What an [`Attacker`]'s tools call themselves.
const ATTACKER: &str = "Grandstream GXP2140 1.0.9.14";

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
    process::run(&mut command(lab, tool, user_agent, arguments)?, LIMIT)
}

/// A tool of sipvicious, under a name of its own or another one.
fn command(lab: &Lab, tool: &str, user_agent: Option<&str>, arguments: &[&str]) -> Result<Command> {
    let mut command = lab.outside().command(Tool::Sipvicious.path()?)?;
    match user_agent {
        Some(user_agent) => command.arg(fixture(LAUNCHER)).args([tool, user_agent]),
        None => command.args(["-m", &format!("sipvicious.{tool}")]),
    };
    command.args(arguments).arg(SERVER.to_string());
    // They keep notes there.
    command.env("HOME", lab.folder()).current_dir(lab.folder());
    Ok(command)
}

/// Somebody with a name that no signature knows, who attacks from an address
/// and port.
#[derive(Clone, Copy, Debug)]
pub struct Attacker {
    pub address: IpAddr,
    pub port: u16,
}

impl Attacker {
    /// svcrack begins to guess the password of a user: numbers in a range.
    ///
    /// # Errors
    /// Where the tool is missing.
    pub fn guesses(self, lab: &Lab, user: u32, passwords: &str) -> Result<Attacking> {
        let user = user.to_string();
        self.starts(lab, "svcrack", &["-u", &user, "-r", passwords, "--maximumtime=2"])
    }

    /// svwar begins to look for users in a range, with a method.
    ///
    /// # Errors
    /// Where the tool is missing.
    pub fn looks_for(self, lab: &Lab, users: &str, method: &str) -> Result<Attacking> {
        let arguments = ["--force", "-e", users, "-m", method, "--maximumtime=2"];
        self.starts(lab, "svwar", &arguments)
    }

    fn starts(self, lab: &Lab, tool: &str, arguments: &[&str]) -> Result<Attacking> {
        let (address, port) = (self.address.to_string(), self.port.to_string());
        let whence = ["-b", &address, "-x", &address, "-P", &port];
        let arguments = [&whence[..], arguments].concat();
        let process = Process::start(&mut command(lab, tool, Some(ATTACKER), &arguments)?)?;
        Ok(Attacking(process))
    }
}

/// A tool of sipvicious at work.
#[derive(Debug)]
pub struct Attacking(Process);

impl Attacking {
    /// What it has found in the end: users, each with its password, or with
    /// what svwar says of it.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn found(self) -> Result<Vec<(String, String)>> {
        Ok(self.0.finish(LIMIT)?.text().lines().filter_map(found).collect())
    }
}

/// Reads a line of a table of two columns, but for its head.
fn found(line: &str) -> Option<(String, String)> {
    let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim);
    let (user, what) = (cells.next()?, cells.next()?);
    user.parse::<u32>().ok()?;
    Some((user.to_owned(), what.to_owned()))
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
