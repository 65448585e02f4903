//! Requests to a local API. They block: for threads that may wait. Who answers,
//! and everybody on the way, may do what he likes.

use std::{io::Read as _, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use ureq::{Agent, Body, Error, Timeout, http::Response};

use super::{
    CrowdsecError, Login,
    decision::{Answer, read},
    report::{Report, SCENARIOS, alerts},
    words::Words,
};
use crate::{policy::CrowdsecSettings, sanitise::sanitise};

/// Who we say we are; local APIs show it as type and version.
const AGENT: &str = concat!("sipguard/", env!("CARGO_PKG_VERSION"));

/// Bytes of an answer other than of the stream.
const MAX_ANSWER: u64 = 64 << 10;

/// Characters of an error.
const SHOWN: usize = 160;

/// How long a token is good where the answer does not say it.
const TOKEN: Duration = Duration::from_secs(600);

/// A token is renewed so long before its end.
const EARLY: Duration = Duration::from_secs(120);

/// What a machine is let in by.
#[derive(Clone)]
pub struct Token {
    text: String,
    /// From the login on.
    pub good_for: Duration,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("good_for", &self.good_for).finish_non_exhaustive()
    }
}

/// Asks one local API. Connections are kept for the next request.
#[derive(Clone, Debug)]
pub struct Lapi {
    agent: Agent,
    url: String,
}

impl Lapi {
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self::patient(url, Duration::from_secs(5))
    }

    /// With another time that a connection and each piece of an answer may take.
    #[must_use]
    pub fn patient(url: &str, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Keys and tokens are for whom the file names.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(patience))
            .timeout_resolve(Some(patience))
            .timeout_send_body(Some(6 * patience))
            // Of a million decisions, the first comes late.
            .timeout_recv_response(Some(6 * patience))
            .timeout_per_read(Some(2 * patience))
            .timeout_global(Some(60 * patience))
            .user_agent(AGENT)
            .build();
        Self { agent: config.into(), url: url.to_owned() }
    }

    fn at(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.url)
    }

    /// The decision stream: all of it, or what has changed since this key was last
    /// used for it.
    ///
    /// # Errors
    /// There is no answer, or none of a local API.
    pub fn stream(
        &self,
        key: &str,
        all: bool,
        settings: &CrowdsecSettings,
        words: &mut Words,
    ) -> Result<Answer, CrowdsecError> {
        let startup = if all { "&startup=true" } else { "" };
        // By itself it names one decision of several about an address.
        let url = self.at(&format!("decisions/stream?dedup=false&scopes=ip,range{startup}"));
        let answer = self.agent.get(&url).header("X-Api-Key", key).call().map_err(|e| error(&e))?;
        match answer.status().as_u16() {
            200 => {
                let body = answer.into_body().into_with_config().limit(u64::MAX).reader();
                read(body, settings, words)
            }
            status @ (401 | 403) => Err(CrowdsecError::Denied { what: "key", status }),
            status => Err(CrowdsecError::Status(status)),
        }
    }

    /// Tells how much is done with its decisions. Gives whether it wants to know:
    /// older ones do not.
    ///
    /// # Errors
    /// There is no answer, or a refusal.
    pub fn tell_usage(&self, key: &str, usage: &Value) -> Result<bool, CrowdsecError> {
        let answer = self.post("usage-metrics", ("X-Api-Key", key), usage)?;
        match answer.status().as_u16() {
            200..=299 => Ok(true),
            404 | 405 => Ok(false),
            status @ (401 | 403) => Err(CrowdsecError::Denied { what: "key", status }),
            status => Err(CrowdsecError::Status(status)),
        }
    }

    /// Lets a machine in.
    ///
    /// # Errors
    /// There is no answer, or a refusal.
    pub fn log_in(&self, login: &Login) -> Result<Token, CrowdsecError> {
        let body = json!({
            "machine_id": login.machine,
            "password": login.password,
            "scenarios": SCENARIOS,
        });
        let answer = self.post("watchers/login", ("Accept", "application/json"), &body)?;
        match answer.status().as_u16() {
            200 => token(answer),
            status @ (400 | 401 | 403) => Err(CrowdsecError::Denied { what: "login", status }),
            status => Err(CrowdsecError::Status(status)),
        }
    }

    /// Tells of bans.
    ///
    /// # Errors
    /// There is no answer, or a refusal: [`CrowdsecError::Denied`] where the token
    /// is not good any more.
    pub fn report(&self, token: &Token, reports: &[Report]) -> Result<(), CrowdsecError> {
        let header = format!("Bearer {}", token.text);
        let answer = self.post("alerts", ("Authorization", &header), &alerts(reports))?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            status @ (401 | 403) => Err(CrowdsecError::Denied { what: "token", status }),
            status => Err(CrowdsecError::Status(status)),
        }
    }

    fn post(
        &self,
        path: &str,
        (name, value): (&str, &str),
        body: &impl Serialize,
    ) -> Result<Response<Body>, CrowdsecError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| CrowdsecError::Http(format!("cannot be written: {error}")))?;
        let request = self.agent.post(self.at(path)).content_type("application/json");
        request.header(name, value).send(&body[..]).map_err(|e| error(&e))
    }
}

/// What is there of it: a hostile answer may have no end.
fn token(answer: Response<Body>) -> Result<Token, CrowdsecError> {
    #[derive(serde::Deserialize)]
    struct LoggedIn {
        token: String,
        expire: Option<Timestamp>,
    }
    let mut text = Vec::new();
    let mut body = answer.into_body().into_with_config().limit(MAX_ANSWER).reader();
    let read = body.by_ref().take(MAX_ANSWER).read_to_end(&mut text);
    read.map_err(|error| CrowdsecError::Http(sanitise(&error.to_string(), SHOWN)))?;
    let logged_in: LoggedIn = serde_json::from_slice(&text)
        .map_err(|_| CrowdsecError::NotLapi("a login without a token".to_owned()))?;
    let is_plain = |byte: u8| byte.is_ascii_graphic();
    if logged_in.token.is_empty() || !logged_in.token.bytes().all(is_plain) {
        return Err(CrowdsecError::NotLapi("a token that is none".to_owned()));
    }
    // Their clock may be another one: an end in our past is no reason to log in
    // with each request.
    let left = logged_in.expire.map(|end| end.duration_since(Timestamp::now()));
    let left = left.and_then(|left| Duration::try_from(left).ok()).unwrap_or_default();
    let good_for = left.saturating_sub(EARLY).max(TOKEN / 10).min(24 * 6 * TOKEN);
    Ok(Token { text: logged_in.token, good_for })
}

/// In words.
fn error(error: &Error) -> CrowdsecError {
    match error {
        Error::HostNotFound => {
            CrowdsecError::Unreached("the server's name has no address".to_owned())
        }
        Error::ConnectionFailed => CrowdsecError::Unreached("no connection".to_owned()),
        Error::Timeout(Timeout::Resolve) => {
            CrowdsecError::Unreached("the name server does not answer".to_owned())
        }
        Error::Timeout(Timeout::Connect) => {
            CrowdsecError::Unreached("no connection in time".to_owned())
        }
        Error::Timeout(_) => CrowdsecError::Timeout("it takes too long".to_owned()),
        Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            CrowdsecError::Unreached("connection refused".to_owned())
        }
        other => CrowdsecError::Http(sanitise(&other.to_string(), SHOWN)),
    }
}

#[cfg(test)]
mod tests;
