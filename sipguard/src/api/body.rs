//! The body of a request: so large, and so long on its way.

use std::time::Duration;

use axum::{
    body::{self, Body},
    extract::Request,
    http::{Method, StatusCode},
};
use tokio::time::timeout;

use super::failure::ApiError;

/// Bytes of the largest one.
pub(super) const MAX_BODY: usize = 64 << 10;

/// How long it may take.
const BODY_TIME: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });

/// Takes it in, so that nothing is held up by somebody who sends it slowly.
pub(super) async fn whole(request: Request) -> Result<Request, ApiError> {
    if [Method::GET, Method::HEAD].contains(request.method()) {
        return Ok(request);
    }
    let (head, body) = request.into_parts();
    let slow =
        |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time", None);
    let body = timeout(BODY_TIME, body::to_bytes(body, MAX_BODY)).await.map_err(slow)?;
    let body = body.map_err(|_| {
        let hint = "a body has at most 64 KiB".to_owned();
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large", Some(hint))
    })?;
    Ok(Request::from_parts(head, Body::from(body)))
}
