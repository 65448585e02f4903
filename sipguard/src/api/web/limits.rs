//! What one request may take: time for its body, and a place among the answers
//! that do not end.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{self, Body, HttpBody as _},
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt as _;
use tokio::{sync::Semaphore, time::timeout};

use super::super::{failure::ApiError, server::MAX_BODY};

/// Answers at once that go on until the caller leaves.
pub(super) const STREAMS: usize = 24;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(super) struct Limits {
    streams: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { streams: Arc::new(Semaphore::new(STREAMS)) }
    }
}

/// Takes in the body before anything is done, and counts answers without end.
pub(super) async fn bound(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let request = match whole(request).await {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    let answer = next.run(request).await;
    if answer.body().size_hint().exact().is_some() {
        return answer;
    }
    let Ok(place) = limits.streams.try_acquire_owned() else {
        let error = format!("{STREAMS} others are following already");
        let hint = "close a dashboard that nobody looks at".to_owned();
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error, Some(hint)).into_response();
    };
    answer.map(|body| {
        // The place is given back with the stream.
        Body::from_stream(body.into_data_stream().inspect(move |_| {
            let _held = &place;
        }))
    })
}

async fn whole(request: Request) -> Result<Request, ApiError> {
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
