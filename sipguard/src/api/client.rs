//! The caller's side of the control socket.

use std::{io, path::PathBuf, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, runtime, time::timeout};

use super::wire::{Added, Entry, Failure, Kind, Lists, Reloaded, Removed, Stats, Status};

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
    pub fn stats(&self) -> Result<Stats, ClientError> {
        self.ask(Method::GET, "/v1/stats", NOTHING)
    }

    /// # Errors
    /// See [`Client::status`].
    pub fn lists(&self, kind: Option<Kind>) -> Result<Lists, ClientError> {
        let path = match kind {
            None => "/v1/lists",
            Some(Kind::Blocked) => "/v1/lists?kind=blocked",
            Some(Kind::Trusted) => "/v1/lists?kind=trusted",
        };
        self.ask(Method::GET, path, NOTHING)
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
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| self.io(error))?;
        let answer = runtime.block_on(async { timeout(PATIENCE, self.exchange(request)).await });
        let (status, answer) = answer.map_err(|_| ClientError::NoAnswer)??;
        if status.is_success() {
            return Ok(serde_json::from_slice(&answer)?);
        }
        let failure = serde_json::from_slice(&answer)?;
        Err(ClientError::Failed { forbidden: status == StatusCode::FORBIDDEN, failure })
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.io(error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; its error also reaches the request.
        tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok((status, body))
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

/// A request without a body.
const NOTHING: Option<&()> = None;
