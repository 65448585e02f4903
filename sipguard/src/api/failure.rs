//! Answers that are no success: a status and [`Failure`] as JSON.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{json::Json, wire::Failure};
use crate::daemon::Error;

/// What the caller is told instead of an answer.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: Box<Failure>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, error: impl Into<String>, hint: Option<String>) -> Self {
        let body = Failure { error: error.into(), hint, ..Failure::default() };
        Self { status, body: Box::new(body) }
    }

    /// The request itself is wrong.
    pub(super) fn bad_request(error: impl Into<String>, hint: Option<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, hint)
    }

    /// The caller may not.
    pub(super) fn forbidden(error: &str) -> Self {
        let hint = "run as root or as a member of the group sipguard".to_owned();
        Self::new(StatusCode::FORBIDDEN, error, Some(hint))
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Refused(_)
            | Error::OnlyInFile { .. }
            | Error::OnlyInFeed { .. }
            | Error::OnlyDecided { .. }
            | Error::FeedIsOff(_)
            | Error::Capturing { .. } => StatusCode::CONFLICT,
            Error::NotListed { .. } | Error::Covered { .. } | Error::NoFeed(_) => {
                StatusCode::NOT_FOUND
            }
            Error::LongReason => StatusCode::BAD_REQUEST,
            Error::Configuration(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Filter(_) | Error::Host(_) | Error::History => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut answer = Self::new(status, error.to_string(), error.hint());
        if let Error::Configuration(diagnostics) = error {
            answer.body.report = Some(diagnostics.to_string());
            answer.body.diagnostics = serde_json::to_value(&*diagnostics).ok();
        }
        answer
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
