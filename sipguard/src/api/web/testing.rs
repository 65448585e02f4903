//! Requests to both routers, with a filter that is none: for fuzzing.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Body,
    http::{HeaderName, HeaderValue, Request, Uri},
};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::{runtime, time::timeout};

use super::{
    super::{caller::Admitted, socket},
    Guard, router,
};
use crate::{
    daemon::{Shared, Token, fake::Fake},
    policy::WebSettings,
};

/// No answer takes longer: whatever is asked, the daemon is not held up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pieces of an answer that are looked at; some have no end.
const PIECES: usize = 64;

/// A daemon that protects nothing, and its two doors.
#[derive(Debug)]
pub struct Doors {
    runtime: runtime::Runtime,
    shared: Shared,
    socket: Router,
    web: Router,
    token: String,
}

/// Which door somebody knocks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The control socket, by who may use it.
    Socket,
    /// The web listener, whose guard decides.
    Web,
}

/// What is asked: a method, a path with its query, lines of the head, a body.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub method: &'a str,
    pub uri: &'a str,
    pub headers: &'a [(&'a str, &'a [u8])],
    pub body: &'a [u8],
}

/// A status, and the beginning of the body.
#[derive(Clone, Debug)]
pub struct Answered {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Doors {
    /// A daemon with the policy in a folder.
    ///
    /// # Errors
    /// Where there is no runtime or no token.
    pub fn new(config: &Path) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Shared::new(Fake::default().daemon(config));
        let token = Token::new()?;
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9061);
        let guard = Guard::new(address, &WebSettings::default(), token.clone());
        let socket = socket::routes(shared.clone()).layer(Extension(Admitted));
        let web = router(guard, shared.clone());
        Ok(Self { runtime, shared, socket, web, token: token.reveal().to_owned() })
    }

    /// The token of the web listener.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The answer to a request; `None` where it is none that HTTP can carry.
    ///
    /// # Panics
    /// Where the answer takes too long.
    #[must_use]
    pub fn ask(&self, door: Door, asked: &Asked<'_>) -> Option<Answered> {
        let request = request(asked)?;
        let router = match door {
            Door::Socket => &self.socket,
            Door::Web => &self.web,
        };
        let service = TowerToHyperService::new(router.clone());
        self.runtime.block_on(async {
            let answer = timeout(PATIENCE, service.call(request)).await;
            let Ok(Ok(answer)) = answer else { panic!("no answer in {PATIENCE:?}") };
            let (head, mut body) = answer.into_parts();
            let mut bytes = Vec::new();
            for _ in 0..PIECES {
                // What is not there yet belongs to an answer without an end.
                let Some(Some(Ok(frame))) = body.frame().now_or_never() else { break };
                bytes.extend(frame.into_data().unwrap_or_default());
            }
            Some(Answered { status: head.status.as_u16(), body: bytes })
        })
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.shared.events().close();
    }
}

fn request(asked: &Asked<'_>) -> Option<Request<Body>> {
    let uri: Uri = asked.uri.parse().ok()?;
    let mut request = Request::builder().method(asked.method).uri(uri);
    for (name, value) in asked.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request = request.header(name, HeaderValue::from_bytes(value).ok()?);
    }
    request.body(Body::from(asked.body.to_vec())).ok()
}
