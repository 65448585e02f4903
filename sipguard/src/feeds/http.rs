//! One request for a feed. The server, and everybody on the way to it, may do
//! what they like: answer slowly or for ever, break off, send more than there
//! is room for, or lead elsewhere.

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use ureq::{
    Agent, Body, Timeout,
    http::{Response, Uri, header},
};

use super::{error::FeedError, kept::Version, redirect::follow};
use crate::sanitise::sanitise;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// Characters of a header that is sent back with the next request.
const MAX_VALIDATOR: usize = 500;

/// Characters of an error that are shown.
const SHOWN: usize = 200;

/// Bytes of a refusal that are read.
const MAX_REFUSAL: u64 = 64 << 10;

/// How long everything may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To connect, with all addresses of the server.
    pub connect: Duration,
    /// To wait for the next bytes.
    pub read: Duration,
    /// One request with its redirects, to the last byte.
    pub whole: Duration,
    /// Between pages, after the first [`Self::pages_at_once`].
    pub pace: Duration,
    pub pages_at_once: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(20),
            whole: Duration::from_secs(90),
            // APIBAN answers 11 requests within two minutes.
            pace: Duration::from_secs(12),
            pages_at_once: 10,
        }
    }
}

/// What a server has answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) etag: Option<String>,
    pub(super) modified: Option<String>,
}

/// Asks servers.
pub(super) struct Http<'a> {
    agent: Agent,
    patience: &'a Patience,
    max_bytes: u64,
    /// The URL holds what no other server must see.
    has_key: bool,
}

impl<'a> Http<'a> {
    pub(super) fn new(patience: &'a Patience, max_bytes: u64, has_key: bool) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Followed here, by rules of our own.
            .max_redirects(0)
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.read))
            .timeout_per_read(Some(patience.read))
            .user_agent(concat!("sipguard/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), patience, max_bytes, has_key }
    }

    /// Asks for a URL, or whether it has changed since `known`. The body of
    /// statuses 200 and 400 is read.
    pub(super) fn get(&self, url: &str, known: Option<&Version>) -> Result<Answer, FeedError> {
        let deadline = Instant::now() + self.patience.whole;
        let mut uri: Uri = url.parse().map_err(|_| FeedError::Http("this is no URL".to_owned()))?;
        for _ in 0..=MAX_REDIRECTS {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(FeedError::Timeout("redirects".to_owned()));
            }
            let mut request = self.agent.get(&uri).config().timeout_global(Some(left)).build();
            if let Some(Version { etag, modified, .. }) = known {
                for (name, value) in
                    [(header::IF_NONE_MATCH, etag), (header::IF_MODIFIED_SINCE, modified)]
                {
                    if let Some(value) = value {
                        request = request.header(name, value);
                    }
                }
            }
            let response = request.call().map_err(|error| self.error(error))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return self.answer(response);
            }
            let location = text(&response, header::LOCATION);
            let location = location.ok_or(FeedError::BadRedirect("nowhere"))?;
            uri = follow(&uri, &location, self.has_key)?;
        }
        Err(FeedError::TooManyRedirects(MAX_REDIRECTS))
    }

    fn answer(&self, response: Response<Body>) -> Result<Answer, FeedError> {
        let status = response.status().as_u16();
        let max = match status {
            200 => self.max_bytes,
            304 => 0,
            _ => MAX_REFUSAL,
        };
        let (etag, modified) =
            (validator(&response, header::ETAG), validator(&response, header::LAST_MODIFIED));
        // What comes over the wire is bounded here, and what it unpacks to
        // below: a little of the one can be very much of the other.
        let body = response.into_body().into_with_config().limit(max.saturating_add(1)).reader();
        let mut bytes = Vec::new();
        if max > 0 {
            let read = body.take(max.saturating_add(1)).read_to_end(&mut bytes);
            match read.map_err(|error| self.error(ureq::Error::from(error))) {
                Ok(_) if bytes.len() as u64 > max => return Err(FeedError::TooLarge { max }),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Answer { status, body: bytes, etag, modified })
    }

    /// In words.
    fn error(&self, error: ureq::Error) -> FeedError {
        let text = match error {
            ureq::Error::Timeout(timeout) => {
                return FeedError::Timeout(waiting_for(timeout).to_owned());
            }
            ureq::Error::BodyExceedsLimit(_) => {
                return FeedError::TooLarge { max: self.max_bytes };
            }
            ureq::Error::HostNotFound => "the server's name has no address".to_owned(),
            ureq::Error::Decompress(..) => "what is compressed is damaged or cut off".to_owned(),
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        FeedError::Http(sanitise(&text, SHOWN))
    }
}

fn waiting_for(timeout: Timeout) -> &'static str {
    match timeout {
        Timeout::Resolve => "the name server",
        Timeout::Connect => "a connection",
        Timeout::RecvResponse => "the answer",
        _ => "the end of the answer",
    }
}

fn text(response: &Response<Body>, name: header::HeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// A header by which the server knows this version again.
fn validator(response: &Response<Body>, name: header::HeaderName) -> Option<String> {
    text(response, name).filter(|text| text.len() <= MAX_VALIDATOR)
}
