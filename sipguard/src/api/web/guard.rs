//! Who gets in over TCP. Any page that a browser shows can make it ask here, so
//! being on this host is not enough:
//!
//! - `Host` must be an address, `localhost` or a configured name, so that no
//!   other name can be bound to our address (DNS rebinding).
//! - `Origin` and `Sec-Fetch-Site`, where a browser tells them, must be of our own
//!   page; only a link to the dashboard may stand elsewhere.
//! - What changes something needs the token; so does everything that does not
//!   come over loopback, or may have been passed on from elsewhere.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    super::{caller::Admitted, failure::ApiError},
    page,
};
use crate::{daemon::Token, policy::WebSettings};

/// Paths of what tells nothing about this host: the form for the token needs
/// them, and cannot have the token yet.
const OPEN: [&str; 5] =
    ["/login", "/page/login.js", "/page/base.css", "/page/icon.svg", "/favicon.ico"];

/// What proxies add to a request that they pass on.
const PASSED_ON: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host"];

#[derive(Clone, Debug)]
pub(super) struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Whether only this host can connect.
    is_loopback: bool,
    names: Vec<String>,
    token: Token,
}

/// Why somebody does not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is called by a name that is not ours.
    Host,
    /// Another page asks.
    Origin,
    /// The token is missing, or wrong.
    Token,
}

/// How a caller has called us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    /// Over loopback, by nobody in between that we know of.
    Here,
    Elsewhere,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, settings: &WebSettings, token: Token) -> Self {
        let names = settings.names.clone();
        Self(Arc::new(Inner { is_loopback: address.ip().is_loopback(), names, token }))
    }

    pub(super) fn token(&self) -> &Token {
        &self.0.token
    }

    /// Lets a request in, or says why not.
    pub(super) fn admits(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let host = host(uri, headers).ok_or(Refusal::Host)?;
        let called = self.called(&host, headers).ok_or(Refusal::Host)?;
        let is_ours = match only(headers, header::ORIGIN) {
            Ok(None) => None,
            Ok(Some(origin)) if is_own(origin, &host) => Some(()),
            _ => return Err(Refusal::Origin),
        };
        if is_for_another_page(headers) && !is_link(method, uri, headers) {
            return Err(Refusal::Origin);
        }
        let reads = [Method::GET, Method::HEAD].contains(method);
        if OPEN.contains(&uri.path()) || (reads && called == Called::Here) {
            return Ok(());
        }
        if self.has_bearer(headers) {
            return Ok(());
        }
        // A browser sends the cookie along with whatever makes it ask, and tells
        // who does whenever that changes something.
        let has_cookie = self.has_cookie(&host, headers);
        match has_cookie && (reads || is_ours.is_some()) {
            true => Ok(()),
            false => Err(Refusal::Token),
        }
    }

    /// Whether this caller may change something.
    pub(super) fn trusts(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        self.has_bearer(headers)
            || host(uri, headers).is_some_and(|host| self.has_cookie(&host, headers))
    }

    fn called(&self, host: &Authority, headers: &HeaderMap) -> Option<Called> {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        let is_here = match name.parse::<IpAddr>() {
            // A name that somebody else owns is no address.
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        };
        let is_passed_on = || PASSED_ON.iter().any(|name| headers.contains_key(*name));
        if is_here && self.0.is_loopback {
            return Some(if is_passed_on() { Called::Elsewhere } else { Called::Here });
        }
        let is_ours = is_here
            || self.0.names.iter().any(|own| own.eq_ignore_ascii_case(name))
            || (!self.0.is_loopback && name.parse::<IpAddr>().is_ok());
        is_ours.then_some(Called::Elsewhere)
    }

    fn has_bearer(&self, headers: &HeaderMap) -> bool {
        let Ok(Some(value)) = only(headers, header::AUTHORIZATION) else { return false };
        let Some((scheme, token)) = value.as_bytes().split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.0.token.is(token.trim_ascii())
    }

    fn has_cookie(&self, host: &Authority, headers: &HeaderMap) -> bool {
        let name = cookie_name(host);
        let cookies = headers.get_all(header::COOKIE).iter();
        let mut cookies = cookies.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
        cookies.any(|cookie| {
            let value = cookie.trim_ascii_start().strip_prefix(name.as_bytes());
            value.and_then(|value| value.strip_prefix(b"=")).is_some_and(|it| self.0.token.is(it))
        })
    }
}

/// Browsers share cookies between all ports of a host, and one may have several
/// of us behind tunnels.
pub(super) fn cookie_name(host: &Authority) -> String {
    format!("sipguard-{}", host.port_u16().unwrap_or(0))
}

/// Whom the request is for; none where that is not clear.
pub(super) fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let host = only(headers, header::HOST).ok()??;
    let host = Authority::try_from(host.as_bytes()).ok()?;
    let differs = uri.authority().is_some_and(|other| *other != host);
    (!differs && !host.as_str().contains('@')).then_some(host)
}

/// Whether an origin is the page that is at this host.
fn is_own(origin: &HeaderValue, host: &Authority) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    own.is_some_and(|own| own.eq_ignore_ascii_case(host.as_str()))
}

/// Whether a browser says that a page of somebody else makes it ask, which an
/// image or a script of that page does without an `Origin`.
fn is_for_another_page(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    sites.any(|site| site == "cross-site" || site == "same-site")
}

/// Whether somebody has followed a link to the page.
fn is_link(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let navigates = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    navigates && is_page(method, uri)
}

fn is_page(method: &Method, uri: &Uri) -> bool {
    method == Method::GET && uri.path() == "/"
}

/// The one value of a header; an error where there are several.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<&HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(()),
    }
}

/// The guard in front of every route.
pub(super) async fn check(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    let is_visit = is_page(request.method(), request.uri());
    match guard.admits(request.method(), request.uri(), request.headers()) {
        Ok(()) => {
            request.extensions_mut().insert(Admitted);
            next.run(request).await
        }
        Err(Refusal::Token) if is_visit => page::login(),
        Err(refusal) => refusal.into_response(),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error, hint) = match self {
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "called by a name that is not ours",
                "use the address of the listener, or put the name into `names` under [web]",
            ),
            Self::Origin => {
                (StatusCode::FORBIDDEN, "another page asks for this", "open the dashboard itself")
            }
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                "this needs the token",
                "send `Authorization: Bearer TOKEN`: `sipguard dashboard` prints it",
            ),
        };
        let error = ApiError::new(status, error, Some(hint.to_owned()));
        let bearer = [(header::WWW_AUTHENTICATE, "Bearer")];
        match self {
            Self::Token => (bearer, error).into_response(),
            Self::Host | Self::Origin => error.into_response(),
        }
    }
}
