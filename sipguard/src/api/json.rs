//! Bodies of requests and of answers.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    failure::ApiError,
    wire::{AlertTestWish, Entry, FeedsWish, PostureWish},
};
use crate::sanitise::sanitise_json;

/// An answer.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], text(&self.0)).into_response()
    }
}

/// JSON that can be shown: it quotes packets, reasons and what was asked, whoever
/// has curl reads it at a terminal, and JSON by itself lets C1 controls and
/// overrides of direction through.
pub(super) fn text(value: &impl Serialize) -> String {
    // Text, numbers and times: nothing that has no JSON.
    sanitise_json(serde_json::to_string(value).unwrap_or_default())
}

/// A body with an example for those who got it wrong.
pub(super) trait Example {
    const EXAMPLE: &str;
}

impl Example for Entry {
    const EXAMPLE: &str = r#"{"target": "192.0.2.7", "ttl": "1h", "reason": "..."}"#;
}

impl Example for FeedsWish {
    const EXAMPLE: &str = r#"{"name": "voipbl"}, or {} for all feeds"#;
}

impl Example for PostureWish {
    const EXAMPLE: &str = r#"{"posture": "closed"}"#;
}

impl Example for AlertTestWish {
    const EXAMPLE: &str = r#"{"action": "log"}"#;
}

/// A body read as JSON whatever its content type says: curl's `-d` calls
/// everything a form.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned + Example, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| ApiError::new(rejection.status(), rejection.body_text(), None))?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let hint = format!("send {}", T::EXAMPLE);
            ApiError::bad_request(format!("the body is wrong: {error}"), Some(hint))
        })
    }
}
