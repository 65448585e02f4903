//! What one request may take: time for its body, and a place among the answers
//! that do not end.

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;

use super::super::{body::whole, failure::ApiError};

/// Answers at once that go on until the caller leaves.
pub(super) const STREAMS: usize = 24;

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
