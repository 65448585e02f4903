//! The page and its parts. They are the same for everybody and hold no data:
//! the script asks the API for that.

use axum::{
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};

use super::super::failure::ApiError;

macro_rules! part {
    ($name:literal) => {
        ($name, include_str!(concat!("page/", $name)))
    };
}

/// Nothing but our own files, no inline script, nobody's frame.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// The files that the page asks for.
const PARTS: &[(&str, &str)] = &[
    part!("actions.js"),
    part!("alerts.js"),
    part!("api.js"),
    part!("base.css"),
    part!("chart.js"),
    part!("colours.js"),
    part!("dashboard.css"),
    part!("dom.js"),
    part!("events.js"),
    part!("format.js"),
    part!("history.js"),
    part!("icon.svg"),
    part!("lists.js"),
    part!("live.js"),
    part!("login.js"),
    part!("main.js"),
    part!("sources.js"),
    part!("tiles.js"),
    part!("toast.js"),
    part!("why.js"),
];

const LOGIN: &str = include_str!("page/login.html");

pub(super) async fn dashboard() -> Html<&'static str> {
    Html(include_str!("page/dashboard.html"))
}

/// What the page is made of.
pub(super) async fn part(Path(name): Path<String>) -> Response {
    let Some((_, text)) = PARTS.iter().find(|(part, _)| *part == name) else {
        let error = format!("the page has no part {name}");
        return ApiError::new(StatusCode::NOT_FOUND, error, None).into_response();
    };
    let kind = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        _ => "image/svg+xml",
    };
    ([(header::CONTENT_TYPE, kind)], *text).into_response()
}

/// Browsers ask for it by themselves.
pub(super) async fn icon() -> Redirect {
    Redirect::permanent("/page/icon.svg")
}

/// The form that asks for the token.
pub(super) fn login() -> Response {
    (StatusCode::UNAUTHORIZED, Html(LOGIN)).into_response()
}

/// The same after a wrong one.
pub(super) fn wrong_token() -> Response {
    (StatusCode::FORBIDDEN, Html(LOGIN)).into_response()
}

/// What every answer tells browsers: keep nothing, guess nothing, lend nothing
/// to other pages.
pub(super) async fn headers(mut answer: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // With no-referrer, the Origin of our own form would be null.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
