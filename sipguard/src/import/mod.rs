//! Foreign configurations as sipguard's own: filters, bans and lists of peers
//! that operators have already.
//!
//! Nothing is guessed: what does not clearly mean trust, a block or a limit
//! becomes a comment that says why. The input may come from anybody; whatever
//! it is, the output is TOML, and a policy.

mod address;
mod asterisk;
mod draft;
mod fail2ban;
mod firewall;
mod freeswitch;
mod ipset;
mod iptables;
mod kamailio;
mod lists;
mod nft;
mod render;
mod signatures;

#[cfg(test)]
mod tests;

use std::{io, net::IpAddr};

use clap::ValueEnum;
use jiff::Timestamp;

pub use self::draft::Part;
use self::{draft::Draft, kamailio::Proxy};
use crate::{policy, sanitise::sanitise, ttl::Ttl};

/// The largest input, in bytes.
pub const MAX_BYTES: u64 = policy::MAX_FILE_BYTES;

/// Characters of what a parser says that are shown.
const SHOWN: usize = 300;

/// Where sources go of which the input does not say what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Aim {
    Trusted,
    Blacklist,
}

/// What the input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Auto,
    Iptables,
    Nft,
    Ipset,
    Fail2ban,
    Pjsip,
    SipConf,
    Kamailio,
    Opensips,
    Freeswitch,
}

impl Format {
    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Iptables => "iptables",
            Self::Nft => "nft",
            Self::Ipset => "ipset",
            Self::Fail2ban => "fail2ban",
            Self::Pjsip => "pjsip",
            Self::SipConf => "sip-conf",
            Self::Kamailio => "kamailio",
            Self::Opensips => "opensips",
            Self::Freeswitch => "freeswitch",
        }
    }

    /// Whether it has lists with names.
    #[must_use]
    pub const fn has_lists(self) -> bool {
        !matches!(self, Self::Iptables | Self::Pjsip | Self::SipConf)
    }

    /// Whether what a list is for may have to be said.
    #[must_use]
    pub const fn can_aim(self) -> bool {
        self.has_lists() && !matches!(self, Self::Fail2ban)
    }
}

/// What the user says about the input.
#[derive(Clone, Debug)]
pub struct Options {
    pub into: Option<Aim>,
    /// Names of sets, groups, jails or lists; empty for all.
    pub lists: Vec<String>,
    /// Ports that are SIP's.
    pub ports: Vec<u16>,
    /// How long a ban lasts of which the input names no end.
    pub ttl: Ttl,
    /// Addresses of this host, which are never listed.
    pub own: Vec<IpAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            into: None,
            lists: Vec::new(),
            ports: firewall::SIP_PORTS.to_vec(),
            ttl: Ttl::DAY,
            own: Vec::new(),
        }
    }
}

impl Options {
    fn wants(&self, list: &str) -> bool {
        self.lists.is_empty() || self.lists.iter().any(|wanted| wanted == list)
    }
}

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the input is larger than 256 MiB")]
    TooLarge,
    #[error("line {line}: a byte here is not UTF-8")]
    NotText { line: usize },
    #[error("the input is empty")]
    Empty,
    #[error("the format cannot be told from the input")]
    Unknown,
    /// Line 0 is none.
    #[error("{}{what}", at(*.line))]
    Damaged { line: usize, what: String, remedy: String },
    #[error("no temporary copy of the database: {0}")]
    Copy(#[source] io::Error),
    /// A defect of ours: better no output than one that is wrong.
    #[error("the result is no policy: {0}")]
    NoPolicy(String),
}

fn at(line: usize) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

impl ImportError {
    fn json(error: &serde_json::Error) -> Self {
        let remedy = "import the whole output, as the program has printed it";
        Self::damaged(error.line(), &format!("this is not JSON: {error}"), remedy)
    }

    /// What a parser says may quote the input.
    fn damaged(line: usize, what: &str, remedy: &str) -> Self {
        Self::Damaged { line, what: sanitise(what, SHOWN), remedy: remedy.to_owned() }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::TooLarge => "import it in parts".to_owned(),
            Self::NotText { .. } => {
                "save it as UTF-8, such as by iconv -f latin1 -t utf-8".to_owned()
            }
            Self::Empty => "see that the program before it has printed something".to_owned(),
            Self::Unknown => {
                let names: Vec<&str> =
                    Format::value_variants().iter().skip(1).map(|format| format.name()).collect();
                format!("name it in place of auto: {}", names.join(", "))
            }
            Self::Damaged { remedy, .. } => remedy.clone(),
            Self::Copy(_) => "free some space there, or set TMPDIR".to_owned(),
            Self::NoPolicy(_) => "please report it, with the input".to_owned(),
        }
    }
}

/// What has become of the input.
#[derive(Debug)]
pub struct Imported {
    /// What the input was.
    pub format: Format,
    /// The text of each file.
    pub files: Vec<(Part, String)>,
    /// Rules, entries and addresses that are carried over.
    pub carried: usize,
    /// Those that are not.
    pub left: usize,
    /// Of the first, those that were there twice.
    pub merged: usize,
    /// What `sipguard check` will warn of.
    pub warnings: usize,
}

impl Imported {
    /// The text of one file.
    #[must_use]
    pub fn file(&self, part: Part) -> &str {
        let found = self.files.iter().find(|(one, _)| *one == part);
        found.map_or("", |(_, text)| text.as_str())
    }
}

/// Reads a foreign configuration. `name` is shown as where it comes from.
///
/// # Errors
/// The input is too large, no text, or broken so that nothing of it can be
/// trusted.
pub fn import(
    bytes: &[u8],
    name: &str,
    format: Format,
    options: &Options,
    now: Timestamp,
) -> Result<Imported, ImportError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ImportError::TooLarge);
    }
    let mut draft = Draft::new(&options.own);
    let format =
        if fail2ban::is_database(bytes) && matches!(format, Format::Auto | Format::Fail2ban) {
            fail2ban::read_database(bytes, options, now, &mut draft)?;
            Format::Fail2ban
        } else {
            let text = text(bytes)?;
            let format = if format == Format::Auto { detect(text)? } else { format };
            read(text, format, options, now, &mut draft)?;
            format
        };
    signatures::judge(&mut draft);
    let source = sanitise(&format!("{name} ({})", format.name()), 200);
    let files: Vec<(Part, String)> =
        Part::ALL.iter().map(|part| (*part, render::file(&draft, *part, &source))).collect();
    let warnings = check(&files, now)?;
    let Draft { carried, left, merged, .. } = draft;
    Ok(Imported { format, files, carried, left, merged, warnings })
}

fn text(bytes: &[u8]) -> Result<&str, ImportError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        ImportError::NotText { line }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() { Err(ImportError::Empty) } else { Ok(text) }
}

fn detect(text: &str) -> Result<Format, ImportError> {
    let start = text.trim_start();
    if freeswitch::is_it(text) {
        return Ok(Format::Freeswitch);
    }
    if fail2ban::is_it(text) {
        return Ok(Format::Fail2ban);
    }
    if start.starts_with('{') && start.contains("\"nftables\"") {
        return Ok(Format::Nft);
    }
    if ipset::is_it(text) {
        return Ok(Format::Ipset);
    }
    let is_table = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("table") && words.next_back() == Some("{")
    };
    if text.lines().take(200).any(is_table) {
        return Ok(Format::Nft);
    }
    if iptables::is_it(text) {
        return Ok(Format::Iptables);
    }
    match asterisk::kind(text) {
        Some(asterisk::Kind::Pjsip) => return Ok(Format::Pjsip),
        Some(asterisk::Kind::Sip) => return Ok(Format::SipConf),
        None => {}
    }
    match kamailio::kind(text) {
        Some(Proxy::Kamailio) => Ok(Format::Kamailio),
        Some(Proxy::OpenSips) => Ok(Format::Opensips),
        None => Err(ImportError::Unknown),
    }
}

fn read(
    text: &str,
    format: Format,
    options: &Options,
    now: Timestamp,
    draft: &mut Draft,
) -> Result<(), ImportError> {
    match format {
        Format::Auto => return Err(ImportError::Unknown),
        Format::Iptables => iptables::read(text, &options.ports, draft),
        Format::Nft => nft::read(text, options, now, draft)?,
        Format::Ipset => ipset::read(text, options, now, draft),
        Format::Fail2ban => fail2ban::read_output(text, options, now, draft),
        Format::Pjsip => asterisk::read_pjsip(text, draft),
        Format::SipConf => asterisk::read_sip(text, draft),
        Format::Kamailio => kamailio::read(text, Proxy::Kamailio, options, draft)?,
        Format::Opensips => kamailio::read(text, Proxy::OpenSips, options, draft)?,
        Format::Freeswitch => freeswitch::read(text, options, draft)?,
    }
    Ok(())
}

/// The result goes through the loader of policies before anybody sees it.
fn check(files: &[(Part, String)], now: Timestamp) -> Result<usize, ImportError> {
    let texts: Vec<(&str, &str)> =
        files.iter().map(|(part, text)| (part.file(), text.as_str())).collect();
    match policy::load_texts(&texts, now) {
        Ok((_, warnings)) => Ok(warnings.len()),
        Err(errors) => Err(ImportError::NoPolicy(errors.to_string())),
    }
}
