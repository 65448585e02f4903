//! A real registrar: Kamailio that asks for passwords, and what it has seen.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{kamailio::Kamailio, lab::Lab};

/// The users that there are.
pub const USERS: RangeInclusive<u32> = 1000..=1999;

/// The table of accounts at carriers, as Kamailio's db_text reads it.
const ACCOUNTS: &str = "id(int,auto) l_uuid(string) l_username(string) l_domain(string) r_username(string) \
     r_domain(string) realm(string) auth_username(string) auth_password(string) \
     auth_ha1(string,null) auth_proxy(string) expires(int) flags(int) reg_delay(int) \
     contact_addr(string,null) socket(string,null)\n";

/// The versions of the tables, which db_text asks for.
const VERSIONS: &str = "table_name(string) table_version(int)\nuacreg:5\n";

/// The password of a user.
#[must_use]
pub fn password(user: u32) -> String {
    format!("9{user}")
}

/// How the registrar works.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    /// Whether it answers 404 for users that there are not, instead of asking
    /// them for a password like everybody.
    pub tells_apart: bool,
    /// Whether it answers a wrong password with 403, instead of asking again.
    pub forbids: bool,
    /// How long a nonce is good. Older ones are stale.
    pub nonce: Duration,
    /// How often it asks each registered phone whether it lives, if it does.
    pub probes: Option<Duration>,
    /// The carrier where it has an account itself, if it has.
    pub carrier: Option<SocketAddr>,
}

impl Default for Ways {
    fn default() -> Self {
        Self {
            tells_apart: true,
            forbids: false,
            nonce: Duration::from_secs(300),
            probes: None,
            carrier: None,
        }
    }
}

/// What the registrar made of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 404: there is no such user.
    Missing,
    /// 401 or 407 to a request without credentials.
    Challenged,
    /// The same to one whose nonce is too old: not a guess.
    Stale,
    /// A wrong password.
    Wrong,
    /// The right password.
    Right,
    /// A call of the carrier, which needs no password.
    Carrier,
    /// A request within a dialog, or one that ends an INVITE.
    Dialog,
    /// 200 to another request.
    Answered,
    /// A response to the registrar's own request.
    Response,
}

impl Outcome {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "404" => Self::Missing,
            "challenged" => Self::Challenged,
            "stale" => Self::Stale,
            "wrong" => Self::Wrong,
            "right" => Self::Right,
            "carrier" => Self::Carrier,
            "dialog" | "call" => Self::Dialog,
            "200" => Self::Answered,
            "response" => Self::Response,
            _ => return None,
        })
    }
}

/// A message that reached the registrar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// Over TCP, not UDP.
    pub is_tcp: bool,
    pub source: SocketAddr,
    /// The user in From.
    pub user: String,
    pub outcome: Outcome,
}

/// The registrar on [`super::lab::SERVER`] and [`super::lab::SERVER_V6`], over
/// UDP and TCP.
#[derive(Debug)]
pub struct Registrar {
    kamailio: Kamailio,
}

impl Registrar {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(lab: &Lab, ways: Ways) -> Result<Self> {
        let mut definitions = vec![format!("NONCE_SECONDS={}", ways.nonce.as_secs())];
        definitions.extend(ways.tells_apart.then(|| "TELLS_APART".to_owned()));
        definitions.extend(ways.forbids.then(|| "FORBIDS".to_owned()));
        definitions.extend(ways.probes.map(|period| format!("PROBE_SECONDS={}", period.as_secs())));
        if let Some(carrier) = ways.carrier {
            let accounts = lab.folder().join("accounts");
            write_accounts(&accounts, carrier).context("cannot write the table of accounts")?;
            definitions.push(format!("ACCOUNTS=\"text://{}\"", accounts.display()));
        }
        Ok(Self { kamailio: Kamailio::start(lab, "registrar.cfg", &definitions, &["udp", "tcp"])? })
    }

    /// The messages that reached it so far, in order. Of those over TCP, at
    /// least those that it has answered.
    ///
    /// # Errors
    /// Where it does not answer any more.
    pub fn seen(&mut self) -> Result<Vec<Seen>> {
        Ok(self.kamailio.said()?.lines().filter_map(seen).collect())
    }

    /// How many messages of `source` ended so.
    ///
    /// # Errors
    /// Where it does not answer any more.
    pub fn count(&mut self, source: IpAddr, outcome: Outcome) -> Result<usize> {
        let counts = |seen: &&Seen| seen.source.ip() == source && seen.outcome == outcome;
        Ok(self.seen()?.iter().filter(counts).count())
    }
}

fn write_accounts(folder: &std::path::Path, carrier: SocketAddr) -> std::io::Result<()> {
    let escaped = carrier.to_string().replace(':', "\\:");
    let account = format!(
        "1:account:customer:203.0.113.1:customer:{host}:carrier.example:customer:secret::\
         sip\\:{escaped}:60:0:0::\n",
        host = carrier.ip(),
    );
    fs::create_dir_all(folder)?;
    fs::write(folder.join("uacreg"), format!("{ACCOUNTS}{account}"))?;
    fs::write(folder.join("version"), VERSIONS)
}

/// Reads a line of fixtures/registrar.cfg.
fn seen(line: &str) -> Option<Seen> {
    let (_, rest) = line.split_once(": SEEN ")?;
    let mut words = rest.split(' ');
    let method = words.next()?.to_owned();
    let is_tcp = words.next()? == "tcp";
    let source: IpAddr = words.next()?.trim_matches(['[', ']']).parse().ok()?;
    let source = SocketAddr::new(source, words.next()?.parse().ok()?);
    let user = words.next()?.to_owned();
    let outcome = Outcome::named(words.next()?)?;
    Some(Seen { method, is_tcp, source, user, outcome })
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Seen, seen};

    #[test]
    fn lines_of_the_registrar() {
        let line = " 1(2) ALERT: <script>: SEEN REGISTER udp 198.51.100.7 5062 1001 wrong";
        let expected = Seen {
            method: "REGISTER".into(),
            is_tcp: false,
            source: ([198, 51, 100, 7], 5062).into(),
            user: "1001".into(),
            outcome: Outcome::Wrong,
        };
        assert_eq!(seen(line), Some(expected));
        assert_eq!(seen(" 1(2) ALERT: <script>: MARK marker-1-end"), None);
    }
}
