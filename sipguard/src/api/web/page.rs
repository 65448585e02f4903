//! The page and its parts. They are the same for everybody and hold no data:
//! the script asks the API for that.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

/// Nothing but our own files, no inline script, nobody's frame.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

const LOGIN: &str = include_str!("page/login.html");

pub(super) async fn dashboard() -> Html<&'static str> {
    Html(include_str!("page/dashboard.html"))
}

pub(super) async fn style() -> Response {
    typed("text/css; charset=utf-8", include_str!("page/dashboard.css"))
}

pub(super) async fn script() -> Response {
    typed("text/javascript; charset=utf-8", include_str!("page/dashboard.js"))
}

pub(super) async fn icon() -> Response {
    typed("image/svg+xml", include_str!("page/icon.svg"))
}

/// The form that asks for the token.
pub(super) fn login() -> Response {
    (StatusCode::UNAUTHORIZED, Html(LOGIN)).into_response()
}

/// The same after a wrong one.
pub(super) fn wrong_token() -> Response {
    (StatusCode::FORBIDDEN, Html(LOGIN)).into_response()
}

fn typed(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// What every answer tells browsers: keep nothing, guess nothing, lend nothing
/// to other pages.
pub(super) async fn headers(mut answer: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
