//! Seconds as lines of JSON.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{
    caller::Caller,
    failure::ApiError,
    lines::{JSON_LINES, line},
    wire::Pulse,
};
use crate::daemon::Shared;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PulseQuery {
    last: Option<usize>,
    #[serde(default)]
    follow: bool,
}

/// The last seconds, oldest first, of which there is one where nothing is said;
/// if asked for, also each that comes from then on, until the caller leaves.
pub(super) async fn pulse(
    _: Caller,
    State(shared): State<Shared>,
    query: Result<Query<PulseQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|rejection| {
        let hint = "ask for ?last= and ?follow=true, or none".to_owned();
        ApiError::bad_request(rejection.body_text(), Some(hint))
    })?;
    let (kept, coming) = shared.pulse().recent(query.last.unwrap_or(1));
    let kept = stream::iter(kept).map(|pulse| line(&*pulse));
    let coming = coming.filter(|_| query.follow).map(|coming| stream::unfold(coming, next));
    let lines = kept.chain(stream::iter(coming).flatten());
    let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
    Ok(([(header::CONTENT_TYPE, JSON_LINES)], body).into_response())
}

/// A caller who takes too long goes on with the newest.
async fn next(mut coming: Receiver<Arc<Pulse>>) -> Option<(Bytes, Receiver<Arc<Pulse>>)> {
    loop {
        match coming.recv().await {
            Ok(pulse) => return Some((line(&*pulse), coming)),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}
