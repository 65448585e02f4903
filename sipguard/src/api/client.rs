//! The caller's side of the control socket.

mod capture;

use std::{io, net::IpAddr, path::PathBuf, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, runtime, time::timeout};

pub use self::capture::Ended;
use super::wire::{
    Added, AlertTest, AlertTestWish, Alerts, Crowdsec, Dashboard, Entry, EventLine, Failure, Feeds,
    FeedsWish, Kind, Lists, Log, Posture, PostureChanged, PostureWish, Pulse, Reloaded, Removed,
    Report, Signatures, Stats, Status, Why,
};
use crate::{policy::Target, ttl::Ttl};

/// How long a request may take. A reload of large lists takes the longest.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why there is no answer, or none that helps.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("sipguard is not running: nobody listens on {}", .0.display())]
    NotRunning(PathBuf),
    #[error("not permitted to use {}", .0.display())]
    NotPermitted(PathBuf),
    #[error("cannot use {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the daemon gave no answer within {} s", PATIENCE.as_secs())]
    NoAnswer,
    #[error("the conversation with the daemon broke off: {0}")]
    Http(#[from] hyper::Error),
    #[error("cannot make the request: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("the daemon's answer cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{}", failure.error)]
    Failed { forbidden: bool, failure: Box<Failure> },
}

/// Asks the daemon behind a control socket, one connection per request.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    #[must_use]
    pub const fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// # Errors
    /// There is no answer, or it is a failure; so for all that follow.
    pub fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, "/v1/status", NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn dashboard(&self) -> Result<Dashboard, ClientError> {
        self.ask(Method::GET, "/v1/web", NOTHING)
    }

    /// What happened since so long ago.
    ///
    /// # Errors
    /// See [`Client::status`].
    pub fn report(&self, since: Ttl) -> Result<Report, ClientError> {
        self.ask(Method::GET, &format!("/v1/report?since={since}"), NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn stats(&self) -> Result<Stats, ClientError> {
        self.ask(Method::GET, "/v1/stats", NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn signatures(&self) -> Result<Signatures, ClientError> {
        self.ask(Method::GET, "/v1/signatures", NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn posture(&self) -> Result<Posture, ClientError> {
        self.ask(Method::GET, "/v1/posture", NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn set_posture(&self, wish: &PostureWish) -> Result<PostureChanged, ClientError> {
        self.ask(Method::POST, "/v1/posture", Some(wish))
    }

    /// Hands each event to `take`, until there are no more, or `take` fails.
    ///
    /// # Errors
    /// See [`Client::status`], and what `take` says.
    pub fn events<E: From<ClientError>>(
        &self,
        query: &EventsQuery,
        take: impl FnMut(EventLine) -> Result<(), E>,
    ) -> Result<(), E> {
        self.lines(&query.path(), take)
    }

    /// Hands the last pulses to `take`, oldest first; if asked to follow, also
    /// each that comes, until the daemon ends or `take` fails.
    ///
    /// # Errors
    /// See [`Client::status`], and what `take` says.
    pub fn pulse<E: From<ClientError>>(
        &self,
        last: usize,
        follow: bool,
        take: impl FnMut(Pulse) -> Result<(), E>,
    ) -> Result<(), E> {
        self.lines(&format!("/v1/pulse?follow={follow}&last={last}"), take)
    }

    /// Hands each line of an answer to `take`.
    fn lines<T: DeserializeOwned, E: From<ClientError>>(
        &self,
        path: &str,
        mut take: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E> {
        let request = request(Method::GET, path, NOTHING)?;
        let runtime = self.runtime()?;
        runtime.block_on(async {
            let answer = timeout(PATIENCE, self.send(request)).await;
            let answer = answer.map_err(|_| ClientError::NoAnswer)??;
            let status = answer.status();
            let mut body = answer.into_body();
            if !status.is_success() {
                let body = body.collect().await.map_err(ClientError::from)?.to_bytes();
                return Err(failed(status, &body)?.into());
            }
            let mut rest = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(ClientError::from)?;
                rest.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line = serde_json::from_slice(&rest[..end]).map_err(ClientError::from)?;
                    rest.drain(..=end);
                    take(line)?;
                }
            }
            Ok(())
        })
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn lists(&self, kind: Option<Kind>) -> Result<Lists, ClientError> {
        let path = match kind {
            None => "/v1/lists",
            Some(Kind::Blocked) => "/v1/lists?kind=blocked",
            Some(Kind::Trusted) => "/v1/lists?kind=trusted",
            Some(Kind::Banned) => "/v1/lists?kind=banned",
            Some(Kind::Verified) => "/v1/lists?kind=verified",
        };
        self.ask(Method::GET, path, NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn why(&self, address: IpAddr) -> Result<Why, ClientError> {
        self.ask(Method::GET, &format!("/v1/why/{address}"), NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn log(&self, query: &LogQuery) -> Result<Log, ClientError> {
        self.ask(Method::GET, &query.path(), NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn alerts(&self) -> Result<Alerts, ClientError> {
        self.ask(Method::GET, "/v1/alerts", NOTHING)
    }

    /// How CrowdSec is doing.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub fn crowdsec(&self) -> Result<Crowdsec, ClientError> {
        self.ask(Method::GET, "/v1/crowdsec", NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn feeds(&self) -> Result<Feeds, ClientError> {
        self.ask(Method::GET, "/v1/feeds", NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn test_alert(&self, wish: &AlertTestWish) -> Result<AlertTest, ClientError> {
        self.ask(Method::POST, "/v1/alerts/test", Some(wish))
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn refresh_feeds(&self, wish: &FeedsWish) -> Result<Feeds, ClientError> {
        self.ask(Method::POST, "/v1/feeds/refresh", Some(wish))
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn reload(&self) -> Result<Reloaded, ClientError> {
        self.ask(Method::POST, "/v1/reload", NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn block(&self, entry: &Entry) -> Result<Added, ClientError> {
        self.ask(Method::POST, "/v1/blocks", Some(entry))
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn unblock(&self, target: &str) -> Result<Removed, ClientError> {
        self.ask(Method::DELETE, &format!("/v1/blocks/{target}"), NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn allow(&self, entry: &Entry) -> Result<Added, ClientError> {
        self.ask(Method::POST, "/v1/trusted", Some(entry))
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn disallow(&self, target: &str) -> Result<Removed, ClientError> {
        self.ask(Method::DELETE, &format!("/v1/trusted/{target}"), NOTHING)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let request = request(method, path, body)?;
        let runtime = self.runtime()?;
        let answer = runtime.block_on(async { timeout(PATIENCE, self.exchange(request)).await });
        let (status, answer) = answer.map_err(|_| ClientError::NoAnswer)??;
        if status.is_success() {
            return Ok(serde_json::from_slice(&answer)?);
        }
        Err(failed(status, &answer)?)
    }

    fn runtime(&self) -> Result<runtime::Runtime, ClientError> {
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_all().build().map_err(|error| self.io(error))
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let answer = self.send(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok((status, body))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.io(error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; its error also reaches the request.
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }

    fn io(&self, source: io::Error) -> ClientError {
        let path = self.socket.clone();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning(path)
            }
            io::ErrorKind::PermissionDenied => ClientError::NotPermitted(path),
            _ => ClientError::Io { path, source },
        }
    }
}

/// Which events [`Client::events`] asks for.
#[derive(Clone, Debug, Default)]
pub struct EventsQuery {
    /// The name of a rule.
    pub rule: Option<String>,
    /// Address or network of the sources.
    pub source: Option<IpNet>,
    /// How many of the kept ones at most.
    pub last: Option<usize>,
    /// Whether to wait for those to come.
    pub follow: bool,
}

impl EventsQuery {
    fn path(&self) -> String {
        let Self { rule, source, last, follow } = self;
        let mut path = format!("/v1/events?follow={follow}");
        let rule = rule.as_deref().map(|rule| ("rule", rule.to_owned()));
        let source =
            source.map(|source| ("source", Target { net: source, port: None }.to_string()));
        let last = last.map(|last| ("last", last.to_string()));
        for (key, value) in [rule, source, last].into_iter().flatten() {
            path += &format!("&{key}={value}");
        }
        path
    }
}

/// Which lines of the history [`Client::log`] asks for.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Address or network that they are about.
    pub ip: Option<IpNet>,
    /// No older than this.
    pub since: Option<Ttl>,
    /// The name of a [`crate::history::Kind`].
    pub kind: Option<&'static str>,
    /// The newest so many.
    pub limit: usize,
}

impl LogQuery {
    fn path(&self) -> String {
        let Self { ip, since, kind, limit } = self;
        let mut path = format!("/v1/log?limit={limit}");
        let ip = ip.map(|net| ("ip", Target { net, port: None }.to_string()));
        let since = since.map(|since| ("since", since.to_string()));
        let kind = kind.map(|kind| ("type", kind.to_owned()));
        for (key, value) in [ip, since, kind].into_iter().flatten() {
            path += &format!("&{key}={value}");
        }
        path
    }
}

fn request(
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<Request<Full<Bytes>>, ClientError> {
    let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
    Ok(Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?)
}

/// What an answer says that is no success.
fn failed(status: StatusCode, body: &[u8]) -> Result<ClientError, ClientError> {
    let failure = serde_json::from_slice(body)?;
    Ok(ClientError::Failed { forbidden: status == StatusCode::FORBIDDEN, failure })
}

/// A request without a body.
const NOTHING: Option<&()> = None;
