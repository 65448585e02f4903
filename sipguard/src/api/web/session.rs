//! The token as a cookie, for browsers.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Serialize;

use super::{
    super::{failure::ApiError, json::Json},
    guard::{Guard, Refusal, cookie_name, host},
    page,
};

/// How long a browser keeps it, in seconds: 30 days.
const KEPT: u32 = 30 * 24 * 3600;

/// Answer to `GET /session`.
#[derive(Debug, Serialize)]
struct Session {
    /// Whether this caller has the token.
    changes: bool,
}

pub(super) async fn show(State(guard): State<Guard>, uri: Uri, headers: HeaderMap) -> Response {
    let changes = guard.trusts(&uri, &headers);
    Json(Session { changes }).into_response()
}

/// Takes the form `token=...`.
pub(super) async fn login(
    State(guard): State<Guard>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = body.trim_ascii().strip_prefix(b"token=").unwrap_or_default();
    match guard.token().is(token) {
        true => with_cookie(&uri, &headers, guard.token().reveal(), KEPT),
        false => page::wrong_token(),
    }
}

pub(super) async fn logout(uri: Uri, headers: HeaderMap) -> Response {
    with_cookie(&uri, &headers, "", 0)
}

fn with_cookie(uri: &Uri, headers: &HeaderMap, value: &str, seconds: u32) -> Response {
    let Some(host) = host(uri, headers) else { return Refusal::Host.into_response() };
    let origin = headers.get(header::ORIGIN).map(|origin| origin.as_bytes());
    let is_https = origin.is_some_and(|origin| origin.starts_with(b"https://"));
    let cookie = format!(
        "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{}",
        cookie_name(&host),
        if is_https { "; Secure" } else { "" }
    );
    match header::HeaderValue::try_from(cookie) {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        Err(_) => ApiError::new(StatusCode::BAD_REQUEST, "no such host", None).into_response(),
    }
}
